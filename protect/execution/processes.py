"""Mapping a function over many things with processes, for work that holds Python's lock: codecs, many small files."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from protect.errors import InputError
from protect.execution.threads import in_order

T = TypeVar("T")
R = TypeVar("R")

CONTEXT = multiprocessing.get_context("forkserver")
"""Processes are copies of one that has imported what they need and done nothing: no thread of this one holds a lock
there, and however many they are, modules are imported once.
"""

_function: Callable[[Any], Any]
"""What this process was started for."""


def map_in_processes(function: Callable[[T], R], things: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Results in the order of the things, as `map_in_order` gives them. All processes have ended when this ends.

    Whatever happens to this process, even `kill -9`, ends the others at once.

    Args:
        function: pickled, once for each process. What it raises is raised here.
        things: pickled one by one; may be endless.
        workers: processes.

    Raises:
        InputError: if a process died.
    """
    ours, theirs = CONTEXT.Pipe(duplex=False)
    CONTEXT.set_forkserver_preload(["__main__", type(function).__module__])
    pool = ProcessPoolExecutor(workers, CONTEXT, _begin, (function, ours))
    try:
        yield from in_order(pool, _call, things, workers)
    except BrokenProcessPool:
        raise InputError(
            "a worker process ended without a word: killed, or out of memory", "Free memory and repeat."
        ) from None
    finally:
        theirs.close()
        pool.shutdown(cancel_futures=True)
        ours.close()


def _begin(function: Callable[[T], R], parent: Connection) -> None:
    global _function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    _function = function
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: Connection) -> None:
    """End this process when the other end closes, as it does when the parent stops or dies."""
    parent.poll(None)
    os._exit(1)


def _call(thing: Any) -> Any:
    return _function(thing)
