"""The table that img2dataset writes beside each archive: `00000.parquet` has the captions and hashes of `00000.tar`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.files import copy_mode_and_times
from protect.formats.arrow_cells import Cell, arrow_module, changed_cells, first_line, holds_text, offsets, with_cells
from protect.formats.columns import CaptionColumns, Json, column_of, leaves
from protect.formats.fingerprints import renewed
from protect.formats.parquet_file import opened, pieces, rewriting, style
from protect.formats.placing import placed
from protect.formats.record import Record
from protect.formats.sharded import copy_whole

if TYPE_CHECKING:
    import pyarrow as pa

_KEY = "key"

TwinRow = tuple[int, dict[str, Json]]
"""Number and texts of a row."""
TwinRows = dict[str, list[TwinRow]]
"""Rows by the key of their sample."""
TwinCells = dict[int, Mapping[str, Cell]]
"""New cells by row and column."""


class Twin:
    """A table whose rows are the samples of an archive, by their keys inside it.

    A changed sample's captions and hashes are replaced wherever its row says the same; what says something else stays.
    """

    def __init__(self, folder: Path, name: str, columns: CaptionColumns) -> None:
        self.path, self.name, self._columns = folder / name, name, columns

    def obstacle(self) -> str | None:
        """Why the table cannot be kept in step with its archive, from its end alone; None if it can."""
        try:
            file = opened(self.path)
            texts = _texts(file.schema_arrow)
            style(file)
        except InputError:
            return "may hold captions as they were: without pyarrow it cannot be changed"
        except (OSError, ValueError, arrow_module().lib.ArrowException) as error:
            return f"may hold captions as they were: cannot be read: {first_line(error)}"
        self._columns.met.update(filter(self._columns.left, (f".parquet:{name}" for name in texts)))
        return None if _KEY in texts and len(texts) > 1 else "may hold captions as they were: has no keys of samples"

    def rows(self) -> TwinRows:
        """All rows; as many as the archive has samples, so they fit into memory.

        Raises:
            OSError: if they cannot be read.
        """
        found: TwinRows = {}
        try:
            file = opened(self.path)
            texts = _texts(file.schema_arrow)
            groups = range(file.metadata.num_row_groups)
            batches = (batch for group in groups for batch in pieces(file, group, texts))
            for start, batch in offsets(batches):
                for number, row in enumerate(batch.to_pylist(), start):
                    found.setdefault(str(row.pop(_KEY)), []).append((number, row))
        except (OSError, ValueError, arrow_module().lib.ArrowException) as error:
            raise OSError(f"{self.name} cannot be read: {first_line(error)}") from None
        return found

    def new_cells(
        self, rows: Iterable[TwinRow], record: Record, released: Mapping[str, str], picture: bytes | None
    ) -> TwinCells:
        """The cells of a sample's rows in which its changes show."""
        return {number: cells for number, row in rows if (cells := self._new_cells(row, record, released, picture))}

    def _new_cells(
        self, row: Mapping[str, Json], record: Record, released: Mapping[str, str], picture: bytes | None
    ) -> dict[str, Cell]:
        new = {old: released[field] for field, old in record.captions.items() if released[field] != old}
        changes: dict[str, str | int] = {
            name: text.replace(text.strip(), new[text.strip()])
            for name, text in leaves(row)
            if text.strip() in new and not self._columns.left(f".parquet:{column_of(name)}")
        }
        return changed_cells(row, changes | renewed(row, record.read, lambda: picture, changes))

    def write(self, target: Path, cells: TwinCells, *, link: bool) -> None:
        """Write the table anew if any cell changes.

        Raises:
            OSError: if it cannot be read or written.
        """
        if not cells:
            copy_whole(target, self.name, self.path, link=link)
            return
        file = opened(self.path)
        with placed(target, self.name) as unfinished:
            with rewriting(file, unfinished) as write:
                start = 0
                for group in range(file.metadata.num_row_groups):
                    write(_changed(pieces(file, group), start, cells))
                    start += file.metadata.row_group(group).num_rows
            copy_mode_and_times(self.path.stat(), unfinished)


def _texts(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if holds_text(field.type)]


def _changed(batches: Iterator[pa.RecordBatch], start: int, cells: TwinCells) -> Iterator[pa.RecordBatch]:
    for first, batch in offsets(batches, start):
        yield with_cells(batch, {n - first: new for n, new in cells.items() if first <= n < first + batch.num_rows})
