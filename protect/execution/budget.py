"""A budget of memory that threads share: work on large pictures waits for others to finish."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

BYTES_PER_PIXEL = 40
"""What reading, marking, writing and reading back a picture takes, for each of its pixels."""
DEFAULT_BYTES = 600 * 2**20
"""With the program itself this keeps a run below 1 GiB, unless a single picture takes more."""


class MemoryBudget:
    """Bytes that all threads together may hold; a request for more than all of it is served alone."""

    def __init__(self, total: int = DEFAULT_BYTES) -> None:
        self._total = total
        self._free = total
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free and hold them for the block."""
        size = min(size, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
