"""Pictures inside of tables: what parquet files and Arrow files have in common."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from protect.errors import InputError
from protect.files import copy_mode_and_times, size_and_time
from protect.formats.arrow_cells import Cell, arrow_module, changed_cells, checked, first_line, offsets, with_cells
from protect.formats.columns import CaptionColumns, Json, column_of, leaves, usual
from protect.formats.dataset_format import Edits, Shard
from protect.formats.fingerprints import renewed
from protect.formats.placing import placed
from protect.formats.record import Record, SetAside, normalised
from protect.formats.sharded import ShardedDataset, copy_whole, refuse_left_alone
from protect.formats.splits import canonical
from protect.formats.table_columns import TableColumns

if TYPE_CHECKING:
    import pyarrow as pa

_TO_SCAN, _USUAL = 5e-6, 50_000
"""Seconds for each row; bytes that one has, until some were looked at."""
LOOKED_AT = 200
"""Rows that are looked at before a dataset is read."""

Row = dict[str, Json]
Changes = Mapping[int, Mapping[str, Cell]]
"""New cells by row and column."""


class DamagedError(Exception):
    """A file that cannot be read whole; the message says why."""


class TableFile(ABC):
    """A file whose rows lie in groups. Methods may be called from any thread."""

    path: Path
    columns: TableColumns

    @property
    @abstractmethod
    def groups(self) -> int:
        """Number of groups."""

    @abstractmethod
    def check(self) -> None:
        """Raise an error if the file could not be written again."""

    @abstractmethod
    def rows(self, group: int) -> int:
        """Number of rows of a group."""

    @abstractmethod
    def texts(self, group: int) -> Iterator[pa.RecordBatch]:
        """The columns `TableColumns.read` of a group; no picture is read."""

    @abstractmethod
    def whole(self, group: int) -> Iterator[pa.RecordBatch]:
        """All columns of a group."""

    @abstractmethod
    def lacking(self, group: int) -> frozenset[int]:
        """Rows of a group without the bytes of a picture."""

    @abstractmethod
    def picture(self, group: int, row: int) -> bytes:
        """The picture of a row.

        Raises:
            OSError: if it cannot be read.
        """

    @abstractmethod
    def rewriting(self, target: Path) -> AbstractContextManager[Callable[[Iterable[pa.RecordBatch]], None]]:
        """Write the file anew: what is entered writes one group at each call."""


class PicturesShard(Shard):
    """One file of a table with pictures.

    A sample's key is the file's path inside the dataset without its ending, a slash, and the `path` beside the picture
    if each row of the file has another one; else the row's number, from 0. Where a single file is the dataset, the key
    has no first part, so that the file may be renamed.
    """

    def __init__(self, file: TableFile, name: str, prefix: str, split: str, columns: CaptionColumns) -> None:
        self.name, self.size = name, file.path.stat().st_size
        self._file, self._prefix, self._split, self._columns = file, prefix, split, columns
        self._checked: tuple[tuple[int, int], bool | DamagedError] | None = None
        self.scanning, self._opened = _TO_SCAN * self.size / _USUAL, size_and_time(file.path)

    def scan(self) -> Iterator[Record | SetAside]:
        """All rows in order; the file alone, with the reason, if its texts cannot be read."""
        try:
            by_path = self._by_path()
        except DamagedError as error:
            yield SetAside(self.name, str(error))
            return
        before = 0
        for group in range(self._file.groups):
            yield from (record for _, record, _, _ in self._records(group, before, by_path))
            before += self._file.rows(group)

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Write the file anew if any row changes; group by group, so that one group is in memory."""
        try:
            changes = self._changes(edits, self._by_path())
            first, cells = next(((group, cells) for group, cells in changes if cells), (-1, {}))
        except DamagedError:
            first = -1
        if first < 0:
            copy_whole(target, self.name, self._file.path, link=link)
            return
        with placed(target, self.name) as unfinished:
            with self._file.rewriting(unfinished) as write:
                for group in range(first):
                    write(self._group(group, {}))
                write(self._group(first, cells))
                for group, cells in changes:
                    write(self._group(group, cells))
            copy_mode_and_times(self._file.path.stat(), unfinished)

    def _group(self, group: int, cells: Changes) -> Iterator[pa.RecordBatch]:
        try:
            for start, batch in offsets(self._file.whole(group)):
                own = {row - start: new for row, new in cells.items() if start <= row < start + batch.num_rows}
                yield with_cells(batch, own)
        except (OSError, ValueError, arrow_module().lib.ArrowException) as error:
            raise OSError(f"{self.name}: group {group} of rows cannot be read: {first_line(error)}") from None

    def changed(self) -> bool:
        """By size and time."""
        return size_and_time(self._file.path) != self._opened

    @property
    def file(self) -> TableFile:
        """The file."""
        return self._file

    def glance(self) -> list[Row]:
        """The texts of the first rows; none if they cannot be read."""
        try:
            first = next(self._file.texts(0)).slice(0, LOOKED_AT) if self._file.groups else None
            rows = [] if first is None else checked(first).to_pylist()
        except (OSError, ValueError, DamagedError, StopIteration, arrow_module().lib.ArrowException):
            return []
        return [{name: cell for name, cell in row.items() if name != self._file.columns.picture} for row in rows]

    def _by_path(self) -> bool:
        """Whether rows are called by their paths; looked up once for each state of the file, with all texts."""
        state = size_and_time(self._file.path)
        if self._checked is None or self._checked[0] != state:
            try:
                self._checked = (state, _paths_differ(self._file))
            except DamagedError as error:
                self._checked = (state, error)
            except (OSError, ValueError, KeyError, arrow_module().lib.ArrowException) as error:
                self._checked = (state, DamagedError(f"cannot be read: {first_line(error)}"))
        found = self._checked[1]
        if isinstance(found, DamagedError):
            raise found
        return found

    def _changes(self, edits: Edits, by_path: bool) -> Iterator[tuple[int, Changes]]:
        """New cells of every group."""
        before = 0
        for group in range(self._file.groups):
            cells: dict[int, Mapping[str, Cell]] = {}
            for row, record, values, raw in self._records(group, before, by_path):
                if isinstance(record, Record) and (new := self._new_cells(edits, record, values, raw)):
                    cells[row] = new
            yield group, cells
            before += self._file.rows(group)

    def _new_cells(self, edits: Edits, record: Record, values: Row, raw: Mapping[str, str]) -> dict[str, Cell]:
        released, picture = edits.captions(record.key, record.captions), edits.picture(record.key, record.read)
        changes: dict[str, str | int] = {
            field: raw[field].replace(old, released[field], 1)
            for field, old in record.captions.items()
            if released[field] != old
        }
        if changes and self._file.columns.label:
            raise InputError(f"{self.name} keeps classes, not captions", "Use --alignment label.")
        changes |= renewed(values, record.read, lambda: picture, changes)
        cells = changed_cells(values, changes)
        return cells if picture is None else cells | {self._file.columns.picture: picture}

    def _records(
        self, group: int, before: int, by_path: bool
    ) -> Iterator[tuple[int, Record | SetAside, Row, dict[str, str]]]:
        """Row number in its group, what it is, its texts, and its captions with the white space around them."""
        lacking = self._file.lacking(group)
        for start, batch in offsets(self._file.texts(group)):
            for row, values in enumerate(batch.to_pylist(), start):
                path = self._path(values)
                key = self._prefix + (path if by_path and path else str(before + row))
                where = f"{self.name}, row {before + row + 1}"
                if row in lacking:
                    reason = "its picture is stored by path only" if path else "no picture"
                    yield row, SetAside(key, reason), values, {}
                    continue
                raw = self._file.columns.class_of(values) or self._columns.captions(values)
                yield row, self._record(key, where, values, raw, partial(self._file.picture, group, row)), values, raw

    def _path(self, values: Row) -> str:
        """Take the path out of a row: it is none of its texts."""
        stored = values.pop(self._file.columns.picture, None)
        path = stored.get("path") if isinstance(stored, dict) else None
        return path if isinstance(path, str) else ""

    def _record(
        self, key: str, where: str, values: Row, raw: Mapping[str, str], read: Callable[[], bytes]
    ) -> Record | SetAside:
        captions = {field: text.strip() for field, text in raw.items() if text.strip()}
        if not self._file.columns.label:
            self._columns.check_row(values, captions, where)
        if not captions:
            return SetAside(key, "empty caption" if raw else "no caption")
        said = values.get("split")
        split = canonical(said) if isinstance(said, str) and said.strip() else self._split
        return Record(key, captions, read, split, where)


def _paths_differ(file: TableFile) -> bool:
    """Read all texts once; whether every row has a path of its own."""
    file.check()
    hashes, complete = array("Q"), file.columns.path
    for group in range(file.groups):
        file.lacking(group)  # where that cannot be told, it is damaged
        rows = 0
        for batch in map(checked, file.texts(group)):
            rows += batch.num_rows
            paths = batch.column(file.columns.picture).flatten()[0].to_pylist() if complete else ()
            complete = complete and all(paths)
            hashes.extend(_hash(path) for path in paths if path)
        if rows != file.rows(group):
            raise DamagedError(f"a group of {file.rows(group)} rows holds {rows}")
    return complete and len(np.unique(np.asarray(hashes))) == len(hashes)


def _hash(path: str) -> int:
    return int.from_bytes(hashlib.blake2b(normalised(path).encode(), digest_size=8).digest(), "little")


def look_at_first(dataset: ShardedDataset, columns: CaptionColumns) -> None:
    """Look at the first captions of a dataset, and whether it has classes instead.

    Raises:
        InputError: see `CaptionColumns.check`.
    """
    shards = [shard for shard in dataset.shards if isinstance(shard, PicturesShard)]
    if shards and not any(shard.file.columns.texts for shard in shards):
        raise InputError(f"{dataset.root} has pictures but no column of text", "Add a column of captions.")
    dataset.columns = columns
    columns.met.update(name for shard in shards for name in shard.file.columns.left)
    dataset.for_classifiers = bool(shards) and all(shard.file.columns.label for shard in shards)
    for shard in shards:
        if not dataset.for_classifiers:
            shard.file.columns = replace(shard.file.columns, label=None)
    first, rows = next(((shard, rows) for shard in shards if (rows := shard.glance())), (None, []))
    if first is not None:
        each = first.size / sum(map(first.file.rows, range(first.file.groups)))
        for shard in shards:
            shard.scanning = _TO_SCAN * shard.size / each
        columns.check(rows, shards[0].name, required=not dataset.for_classifiers)
        found = dict.fromkeys(column_of(name) for row in rows for name, _ in leaves(row))
        refuse_left_alone(columns, filter(usual, found), shards[0].name)
