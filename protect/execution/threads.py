"""Mapping a function over many things with threads, in order and without piling up."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(function: Callable[[T], R], things: Iterable[T], workers: int | None = None) -> Iterator[R]:
    """Results in the order of the things; only a few more are under way than there are workers.

    Args:
        function: called from several threads.
        things: may be endless.
        workers: threads; as many as there are cores if not given.
    """
    workers = workers or usable_cores()
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for thing in things:
            waiting.append(pool.submit(function, thing))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
