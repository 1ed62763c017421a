"""Records that are gone through again and again: kept in memory if they are few, else read anew each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from protect.formats.record import Record

FEW = 100_000
"""Records that are kept: some 70 MiB."""


class Remembered:
    """Gives records from the first at each call.

    Args:
        records: likewise.
        most: that are kept.
    """

    def __init__(self, records: Callable[[], Iterator[Record]], most: int = FEW) -> None:
        self._records, self._most = records, most
        self._kept: list[Record] | None = None

    def __call__(self) -> Iterator[Record]:
        """All records; kept once somebody has gone through all of them."""
        return self._reading() if self._kept is None else iter(self._kept)

    def _reading(self) -> Iterator[Record]:
        kept: list[Record] | None = []
        for record in self._records():
            if kept is not None:
                kept.append(record)
                kept = kept if len(kept) <= self._most else None
            yield record
        self._kept = kept
