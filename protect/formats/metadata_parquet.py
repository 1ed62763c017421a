"""Caption tables in parquet files; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from protect.formats.caption_table import CaptionTable, Change, Row

if TYPE_CHECKING:
    pass


class ParquetTable(CaptionTable):
    """`metadata.parquet`: pictures by name, no pictures inside."""

    counted = "row"

    def rows(self) -> Iterator[Row]:
        """One row group after the other."""
        raise NotImplementedError

    def rewrite(self, target: Path, change: Change) -> bool:
        """Write row groups anew in which something changes."""
        raise NotImplementedError
