"""Mapping a function over many things with threads, in order and without piling up."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(
    function: Callable[[T], R], things: Iterable[T], workers: int | None = None
) -> Generator[R, None, None]:
    """Results in the order of the things; only a few more are under way than there are workers.

    Args:
        function: called from several threads.
        things: may be endless.
        workers: threads; as many as there are cores if not given.
    """
    workers = workers or usable_cores()
    pool = ThreadPoolExecutor(workers)
    try:
        yield from in_order(pool, function, things, workers)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_order(pool: Executor, function: Callable[[T], R], things: Iterable[T], workers: int) -> Generator[R, None, None]:
    """What a pool of so many workers makes of the things, in their order; few are taken ahead."""
    waiting: deque[Future[R]] = deque()
    for thing in things:
        waiting.append(pool.submit(function, thing))
        if len(waiting) > 2 * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
