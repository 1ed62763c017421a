"""A budget of memory that workers share: work on large pictures waits for others to finish."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import BaseContext

BYTES_PER_PIXEL = 40
"""What reading, marking, writing and reading back a picture takes, for each of its pixels."""
DEFAULT_BYTES = 600 * 2**20
"""With the program itself this keeps a run below 1 GiB, unless a single picture takes more."""


class MemoryBudget:
    """Bytes that all workers together may hold; a request for more than all of it is served alone.

    Args:
        total: bytes.
        processes: where the workers come from if they are processes; threads if not given.
    """

    def __init__(self, total: int = DEFAULT_BYTES, processes: BaseContext | None = None) -> None:
        self._total = total
        self._free = processes.RawValue(ctypes.c_int64, total) if processes else ctypes.c_int64(total)
        self._changed = processes.Condition() if processes else threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free and hold them for the block."""
        size = min(size, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free.value >= size)
            self._free.value -= size
        try:
            yield
        finally:
            with self._changed:
                self._free.value += size
                self._changed.notify_all()
