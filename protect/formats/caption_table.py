"""A file that lists pictures with their captions, one row each, and the shard that it is."""

from __future__ import annotations

import hashlib
import itertools
import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.files import append_file, copy_file, copy_mode_and_times, read_file
from protect.formats.columns import CaptionColumns, Json
from protect.formats.dataset_format import CHANGED, Edits, ReadOptions, Shard
from protect.formats.fingerprints import renewed
from protect.formats.folder import FolderDataset, is_picture
from protect.formats.placing import placed
from protect.formats.record import Record, SetAside, key_hash
from protect.formats.splits import canonical, named_split, split_of
from protect.formats.walk import Names

_UNLISTED = "no caption"
_TO_SCAN = 2e-7
"""Seconds for each byte of a table."""
LOOKED_AT = 200
"""Rows that are looked at before a table is taken for one of captions."""
_FILE_NAMES = ("file_name", "image_file_name")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    number: int
    """Line in the file where it begins, or row of a table without lines; from 1."""
    values: Mapping[str, Json]


_SURROGATE = re.compile("[\ud800-\udfff]")

Change = Callable[[Row], Mapping[str, str | int]]
"""New values of a row by field; empty for a row that stays as it is."""


class CaptionTable(ABC):
    """A file of rows. Rows are read as a stream."""

    counted = "line"
    """What a row's number counts."""

    part: str = ""
    """Where this is a part of a table, what its file in an unfinished copy is called."""

    def __init__(self, root: Path, name: str) -> None:
        self._root, self.path, self.name = root, root / name, name

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def parts(self) -> Sequence[CaptionTable]:
        """The table in parts that follow each other, if it is long and can be cut."""
        return (self,)

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """All rows in order.

        Raises:
            InputError: if the file, or a row of it, cannot be read: which, and where.
        """

    @abstractmethod
    def rewrite(self, target: Path, change: Change) -> bool:
        """Write the file anew with some values replaced; all else keeps its bytes, or in a parquet file its data.

        Returns:
            Whether any row changed.
        """

    def key(self, file_name: str) -> str:
        """Path of a picture inside the dataset; rows name it from the table's own folder."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.name), file_name))

    def where(self, row: Row) -> str:
        """The place of a row, for messages."""
        return f"{self.name}, {self.counted} {row.number}"


def file_name_column(row: Mapping[str, Json]) -> str | None:
    """The column that names a row's picture: `file_name`, else the first `*_file_name`; None if there is none."""
    for name in _FILE_NAMES:
        if isinstance(row.get(name), str):
            return name
    return next((name for name in row if name.endswith("_file_name") and isinstance(row[name], str)), None)


class TableShard(Shard):
    """A caption table. Its pictures are in other shards."""

    def __init__(self, root: Path, names: Names, table: CaptionTable, columns: CaptionColumns, number: int) -> None:
        self.root, self.names, self.table, self.columns = root, names, table, columns
        self.name, self.size = f"captions-{number:05}-{self._state()}", table.size
        self.scanning = _TO_SCAN * self.size

    def _state(self) -> str:
        status = self.table.path.stat()
        known = f"{self.table.part or self.table.name}\0{status.st_size}\0{status.st_mtime_ns}"
        return hashlib.blake2b(known.encode(), digest_size=6).hexdigest()

    def scan(self) -> Iterator[Record | SetAside]:
        """A record for every row."""
        for row in self.table.rows():
            yield self._record(row)[0]

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Write the table anew if any row changes; a part of it goes to a file of its own."""
        if self.changed():
            raise InputError(f"{self.table.path} {CHANGED}", "Let nothing write to the dataset, and repeat.")
        if self.table.part:
            with placed(target, self.table.part) as unfinished:
                self.table.rewrite(unfinished, partial(self._changes, edits))
            return
        with placed(target, self.table.name) as unfinished:
            if self.table.rewrite(unfinished, partial(self._changes, edits)):
                copy_mode_and_times(self.table.path.stat(), unfinished)
            else:
                unfinished.unlink(missing_ok=True)
                copy_file(self.table.path.resolve(), unfinished, link=link)

    def changed(self) -> bool:
        """By size and time."""
        return not self.name.endswith(self._state())

    def is_there(self, target: Path) -> bool:
        """A part is not, once the table was put together."""
        return not self.table.part or (target / self.table.part).exists()

    def _changes(self, edits: Edits, row: Row) -> Mapping[str, str | int]:
        record, raw = self._record(row)
        if isinstance(record, SetAside):
            return {}
        released = edits.captions(record.key, record.captions)
        changes: dict[str, str | int] = {
            field: raw[field].replace(old, released[field], 1)
            for field, old in record.captions.items()
            if released[field] != old
        }
        return changes | renewed(row.values, record.read, partial(edits.picture, record.key, record.read), changes)

    def _record(self, row: Row) -> tuple[Record | SetAside, dict[str, str]]:
        """The record, and its captions with the white space around them."""
        where = self.table.where(row)
        name = _file_name(row, where)
        key = self.table.key(name)
        if key.startswith(("/", "../")) or key == "..":
            raise InputError(f"{where}: {name!r} leaves the dataset", "Use paths inside the folder.")
        raw = self.columns.captions(row.values)
        captions = {field: text.strip() for field, text in raw.items() if text.strip()}
        self.columns.check_row(row.values, captions, where)
        position = self.names.find(key)
        if position is None or not is_picture(key):
            return SetAside(key, "caption for an absent or unknown picture file"), raw
        key = self.names[position]
        if key in self.names.links:
            return SetAside(key, f"the same file as {self.names.links[key]}"), raw
        if not all(map(str.isascii, captions.values())) and any(map(_SURROGATE.search, captions.values())):
            return SetAside(key, "caption is not valid Unicode"), raw
        if not captions:
            return SetAside(key, "empty caption" if raw else "no caption"), raw
        read = partial(read_file, f"{self.root}/{key}")
        return Record(key, captions, read, self._split(row, key), where), raw

    def _split(self, row: Row, key: str) -> str:
        said = row.values.get("split")
        if isinstance(said, str) and said.strip():
            return canonical(said)
        folder, slash, _ = key.rpartition("/")
        return named_split(*folder.split("/") if slash else (), *self.table.name.split("/")) or split_of(key)


def _file_name(row: Row, where: str) -> str:
    column = file_name_column(row.values)
    name = row.values[column] if column else None
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: no file_name", 'Every row needs "file_name" and a caption.')
    return name


class TableDataset(FolderDataset):
    """Pictures listed in tables. Those that no table lists are set aside at the end of a scan."""

    @classmethod
    def of(
        cls, name: str, root: Path, pictures: Names, options: ReadOptions, tables: Sequence[CaptionTable]
    ) -> TableDataset:
        """Look at the first rows of every table.

        Args:
            name: the format's.
            root: the folder.
            pictures: its files without the tables and without traces.
            options: what the owner says.
            tables: the tables.

        Raises:
            InputError: if a table lists no pictures, or see `CaptionColumns.check`.
        """
        columns = CaptionColumns(options)
        for table in tables:
            rows = [row.values for row in itertools.islice(table.rows(), LOOKED_AT)]
            if rows and not any(map(file_name_column, rows)):
                listed = ", ".join(rows[0])
                raise InputError(
                    f"{table.path}: no file_name column (has {listed})", 'Every row needs "file_name" and a caption.'
                )
            columns.check(rows, table.name)
        parts = [part for table in tables for part in table.parts()]
        shards = [TableShard(root, pictures, part, columns, i) for i, part in enumerate(parts)]
        dataset = cls(name, root, pictures, options, tables=shards)
        dataset.columns = columns
        return dataset

    def scan(self) -> Iterator[Record | SetAside]:
        """All rows of all tables, then the pictures without one."""
        listed = bytearray(len(self.names))
        for found in super().scan():
            position = self.names.find(found.key)
            if position is not None:
                listed[position] = 1
            yield found
        for name, was in zip(self.names, listed, strict=True):
            if not was and is_picture(name):
                yield SetAside(name, _UNLISTED)

    def unlisted(self, keys: NDArray[np.uint64]) -> Iterator[SetAside]:
        """Pictures without a row."""
        pictures = list(filter(is_picture, self.names))
        hashes = np.fromiter(map(key_hash, pictures), np.uint64, len(pictures))
        listed = np.isin(hashes, keys, assume_unique=False)
        return (SetAside(name, _UNLISTED) for name, was in zip(pictures, listed.tolist(), strict=True) if not was)

    def finish(self, target: Path) -> None:
        """Put the parts of tables together."""
        parts: dict[str, list[CaptionTable]] = {}
        for shard in self._tables:
            if isinstance(shard, TableShard) and shard.table.part:
                parts.setdefault(shard.table.name, []).append(shard.table)
        for name, tables in parts.items():
            with placed(target, name) as unfinished:
                with unfinished.open("wb") as whole:
                    for table in tables:
                        append_file(target / table.part, whole)
                copy_mode_and_times(tables[0].path.stat(), unfinished)
            for table in tables:
                (target / table.part).unlink()
