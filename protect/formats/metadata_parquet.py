"""Caption tables in parquet files; needs pyarrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.formats.arrow_cells import changed_cells, first_line, holds_text, offsets, with_cells
from protect.formats.caption_table import CaptionTable, Change, Row
from protect.formats.parquet_file import opened, pieces, rewriting, style

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


class ParquetTable(CaptionTable):
    """`metadata.parquet`: pictures by their names, and no pictures inside."""

    counted = "row"

    def rows(self) -> Iterator[Row]:
        """All rows; only columns of text and whole numbers are read."""
        try:
            file = opened(self.path)
            style(file)  # a table that could not be written again is refused before anything is
            number = 0
            for group in range(file.num_row_groups):
                for batch in pieces(file, group, _texts(file)):
                    yield from _rows(batch, number)
                    number += batch.num_rows
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None

    def rewrite(self, target: Path, change: Change) -> bool:
        """Write one row group after the other; cells without a change stay."""
        changed = False
        start = 0
        try:
            file = opened(self.path)
            names = _texts(file)
            with rewriting(file, target) as write:
                for group in range(file.num_row_groups):
                    batches = []
                    for number, batch in offsets(pieces(file, group), start):
                        cells = {
                            row.number - 1 - number: changed_cells(row.values, new)
                            for row in _rows(batch.select(names), number)
                            if (new := change(row))
                        }
                        batches.append(with_cells(batch, cells) if cells else batch)
                        changed = changed or bool(cells)
                    write(batches)
                    start += file.metadata.row_group(group).num_rows
        except (OSError, ValueError) as error:
            raise self._damaged(error) from None
        return changed

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"{self.path} cannot be used ({first_line(error)})", "Write it anew, or remove it.")


def _texts(file: pq.ParquetFile) -> list[str]:
    return [field.name for field in file.schema_arrow if holds_text(field.type)]


def _rows(batch: pa.RecordBatch, before: int) -> Iterator[Row]:
    return (Row(before + n, values) for n, values in enumerate(batch.to_pylist(), 1))
