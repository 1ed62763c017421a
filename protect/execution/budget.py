"""A budget of memory that workers share: work on large pictures waits for others to finish."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

BYTES_PER_PIXEL = 40
"""What reading, marking, writing and reading back a picture takes, for each of its pixels."""
DEFAULT_BYTES = 600 * 2**20
"""With the program itself this keeps a run below 1 GiB, unless a single picture takes more."""


@dataclass(frozen=True)
class Shared:
    """What processes of one machine share of a budget. It can be given to a process that starts, and not later."""

    total: int
    free: Any
    changed: Any


class MemoryBudget:
    """Bytes that all workers together may hold; a request for more than all of it is served alone.

    In a process that was started with a budget in common (`hold_in_common`) a pickled one becomes that one.

    Args:
        total: bytes.
    """

    def __init__(self, total: int = DEFAULT_BYTES) -> None:
        self._shared = Shared(total, ctypes.c_int64(total), threading.Condition())

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return _here, (self._shared.total,)

    def shared(self, processes: BaseContext) -> Shared:
        """As much for processes together."""
        total = self._shared.total
        return Shared(total, processes.RawValue(ctypes.c_int64, total), processes.Condition())

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free and hold them for the block."""
        here = self._shared
        size = min(size, here.total)
        with here.changed:
            here.changed.wait_for(lambda: here.free.value >= size)
            here.free.value -= size
        try:
            yield
        finally:
            with here.changed:
                here.free.value += size
                here.changed.notify_all()


_common: MemoryBudget | None = None


def hold_in_common(shared: Shared) -> None:
    """From now on all budgets that come to this process are this one, which it shares with others."""
    global _common
    _common = MemoryBudget()
    _common._shared = shared


def _here(total: int) -> MemoryBudget:
    return _common or MemoryBudget(total)
