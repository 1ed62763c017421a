"""Mapping a function over many things with processes, for work that holds Python's lock: codecs, many small files."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from protect.errors import InputError
from protect.execution.budget import MemoryBudget, Shared, hold_in_common
from protect.execution.engine import Engine

T = TypeVar("T")
R = TypeVar("R")

CONTEXT = multiprocessing.get_context("forkserver")
"""Processes are copies of one that has imported what they need and done nothing: no thread of this one holds a lock
there, and however many they are, modules are imported once.
"""

_function: Callable[[Any], Any]
"""What this process was started for."""


class Processes(Engine):
    """Processes of this machine, started for each stage anew.

    If one dies, what was under way is done once more, one thing after another.

    Args:
        workers: how many.
        modules: what they will need; imported once for all of them.
        budget: memory for pictures that they share; every budget in a function becomes this one.
    """

    worth = 2.0

    def __init__(self, workers: int, modules: Iterable[str] = (), budget: MemoryBudget | None = None) -> None:
        self.workers = workers
        self._modules, self._budget = tuple(modules), budget or MemoryBudget()

    def map(
        self, function: Callable[[T], R], things: Iterable[T], lost: Callable[[T], R] | None = None
    ) -> Generator[R, None, None]:
        """See `Engine.map`. All processes have ended when this ends.

        Whatever happens to this process, even `kill -9`, ends the others at once.
        """
        CONTEXT.set_forkserver_preload(["__main__", *self._modules])
        pickled, source = pickle.dumps(function), iter(things)
        while broken := (yield from self._until_one_dies(pickled, source)):
            died = 0
            for thing in broken:
                try:
                    result: R = self._alone(pickled, thing)
                except BrokenProcessPool:
                    died += 1
                    if lost is None or died == len(broken) > 1:
                        raise _ended() from None
                    result = lost(thing)
                yield result

    def _until_one_dies(self, pickled: bytes, source: Iterator[T]) -> Generator[Any, None, list[T]]:
        """Results in order; returns the things without one if a process dies, none of them at the end."""
        things, futures = deque[T](), deque[Future[Any]]()
        with self._pool(pickled, self.workers) as pool:
            try:
                for thing in source:
                    things.append(thing)
                    futures.append(pool.submit(_call, thing))
                    if len(things) > 2 * self.workers:
                        result = futures.popleft().result()
                        things.popleft()
                        yield result
                while things:
                    result = futures.popleft().result()
                    things.popleft()
                    yield result
            except BrokenProcessPool:
                return list(things)
        return []

    def _alone(self, pickled: bytes, thing: Any) -> Any:
        with self._pool(pickled, 1) as pool:
            return pool.submit(_call, thing).result()

    @contextmanager
    def _pool(self, pickled: bytes, workers: int) -> Iterator[Executor]:
        """Processes that end when the block ends, or this process does."""
        ours, theirs = CONTEXT.Pipe(duplex=False)
        pool = ProcessPoolExecutor(workers, CONTEXT, _begin, (pickled, self._budget.shared(CONTEXT), ours))
        try:
            yield pool
        finally:
            theirs.close()
            pool.shutdown(cancel_futures=True)
            ours.close()


def _ended() -> InputError:
    return InputError(
        "a worker process ended without a word: killed, or out of memory",
        "Free memory, or use fewer --workers, and repeat.",
    )


def _begin(pickled: bytes, budget: Shared, parent: Connection) -> None:
    global _function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    hold_in_common(budget)
    _function = pickle.loads(pickled)
    threadpool_limits(1)  # there is a process for every core: more threads would wait for each other by spinning


def _end_with(parent: Connection) -> None:
    """End this process when the other end closes, as it does when the parent stops or dies."""
    parent.poll(None)
    os._exit(1)


def _call(thing: Any) -> Any:
    return _function(thing)
