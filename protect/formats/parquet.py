"""Parquet shards with pictures inside, as the library `datasets` writes them: `data/train-00000-of-00001.parquet`."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.formats.arrow_cells import arrow_module, first_line
from protect.formats.columns import CaptionColumns
from protect.formats.dataset_format import DatasetFormat, ReadOptions, Shard
from protect.formats.folder import is_picture
from protect.formats.images_in_tables import DamagedError, PicturesShard, TableFile, look_at_first
from protect.formats.parquet_file import opened, pieces, rewriting, style
from protect.formats.sharded import DamagedShard, ShardedDataset, beside, doubled
from protect.formats.splits import split_of
from protect.formats.table_columns import TableColumns, columns_of
from protect.formats.tar_file import SUFFIXES

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_SUFFIX = ".parquet"
_LOOKED_AT = 8
"""Rows that are looked at to find the pictures."""
_TRIED = 8
"""Files that are opened to learn whether a folder is of this format."""


@dataclass(slots=True)
class _Window:
    """Pictures in a row of one file, as one thread has read them last."""

    owner: object
    group: int
    pictures: Iterator[pa.RecordBatch]
    start: int
    batch: pa.RecordBatch

    def moved_to(self, row: int) -> bool:
        """Read on until a row of the group is there; False if it was passed already."""
        while row >= self.start + self.batch.num_rows:
            self.start += self.batch.num_rows
            self.batch = next(self.pictures)
        return row >= self.start


class Windows(threading.local):
    """What each thread has read last, of all files of a dataset together: about 32 MiB a thread."""

    last: _Window | None = None
    _file: tuple[Path, os.stat_result, pq.ParquetFile] | None = None

    def __reduce__(self) -> tuple[type[Windows], tuple[()]]:
        """Another process reads its own."""
        return Windows, ()

    def file(self, path: Path) -> pq.ParquetFile:
        """A file, opened by this thread; its end is read once while it is used."""
        status = path.stat()
        if self._file is None or self._file[0] != path or not os.path.samestat(self._file[1], status):
            self._file = (path, status, opened(path))
        return self._file[2]


class ParquetPictures(TableFile):
    """A parquet file with pictures."""

    def __init__(self, path: Path, columns: TableColumns, windows: Windows) -> None:
        self.path, self.columns, self._windows = path, columns, windows
        self._lacking: dict[int, frozenset[int]] = {}

    @cached_property
    def _rows(self) -> tuple[int, ...]:
        facts = self._windows.file(self.path).metadata
        return tuple(facts.row_group(i).num_rows for i in range(facts.num_row_groups))

    @property
    def groups(self) -> int:
        """Row groups."""
        return len(self._rows)

    def rows(self, group: int) -> int:
        """Rows of a row group."""
        return self._rows[group]

    def check(self) -> None:
        """Look whether pyarrow writes a file with the same types."""
        style(self._windows.file(self.path))

    def texts(self, group: int) -> Iterator[pa.RecordBatch]:
        """Captions and paths in pieces."""
        return pieces(self._windows.file(self.path), group, self.columns.read)

    def whole(self, group: int) -> Iterator[pa.RecordBatch]:
        """All columns in pieces."""
        return pieces(self._windows.file(self.path), group)

    def lacking(self, group: int) -> frozenset[int]:
        """Known from the file's statistics; pictures are read only where some have bytes and some have none."""
        file = self._windows.file(self.path)
        facts = file.metadata.row_group(group)
        leaf = self._leaf(file)
        found = next((c for c in map(facts.column, range(facts.num_columns)) if c.path_in_schema == leaf), None)
        if found is None:
            raise DamagedError(f"row group {group} has no pictures")
        counted = found.is_stats_set and found.statistics.has_null_count
        if counted and found.statistics.null_count in (0, facts.num_rows):
            return frozenset(range(found.statistics.null_count))
        if group not in self._lacking:
            missing = (self._bytes(batch).is_null().to_pylist() for batch in pieces(file, group, [leaf]))
            rows = enumerate(itertools.chain.from_iterable(missing))
            self._lacking[group] = frozenset(row for row, is_missing in rows if is_missing)
        return self._lacking[group]

    def picture(self, group: int, row: int) -> bytes:
        """Reads on from where the thread's last picture was, or from the row group's first."""
        try:
            window = self._windows.last
            if window is None or window.owner is not self or window.group != group or not window.moved_to(row):
                window = self._windows.last = self._first(group)
                window.moved_to(row)
            content = self._bytes(window.batch)[row - window.start].as_py()
        except (OSError, ValueError, StopIteration, arrow_module().lib.ArrowException) as error:
            self._windows.last = None
            raise OSError(f"{self.path.name} cannot be read: {first_line(error)}") from None
        if not isinstance(content, bytes):
            raise OSError(f"{self.path.name} has no picture in row {row} of group {group}")
        return content

    def _first(self, group: int) -> _Window:
        file = self._windows.file(self.path)
        pictures = pieces(file, group, [self._leaf(file)])
        return _Window(self, group, pictures, 0, next(pictures))

    def _leaf(self, file: pq.ParquetFile) -> str:
        struct = arrow_module("pyarrow.types").is_struct(file.schema_arrow.field(self.columns.picture).type)
        return f"{self.columns.picture}.bytes" if struct else self.columns.picture

    def _bytes(self, batch: pa.RecordBatch) -> pa.Array:
        column = batch.column(self.columns.picture)
        return column.flatten()[0] if arrow_module("pyarrow.types").is_struct(column.type) else column

    def rewriting(self, target: Path) -> AbstractContextManager[Callable[[Iterable[pa.RecordBatch]], None]]:
        """See `protect.formats.parquet_file.style` for what stays the same."""
        return rewriting(self._windows.file(self.path), target)


class Parquet(DatasetFormat):
    """A folder of parquet files, or one file.

    pyarrow cannot copy row groups as they are: a file in which a sample changes is written anew. Its values, types,
    metadata and row groups stay; see `protect.formats.parquet_file.style` for what may differ. A file without changes
    is copied. Writing takes up to four times the memory of the largest row group.

    Damaged pages of pictures are not seen by a scan, which reads no picture: `Record.read` and `Shard.write` raise
    OSError there. Where a file's own description of its columns is damaged, pyarrow may end the program.
    """

    name = "parquet"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether one of the first parquet files holds pictures."""
        tables = [name for name in files if _is_parquet(name)]
        if not tables or any(name.lower().endswith(SUFFIXES) for name in files):
            return False
        folder = root if root.is_dir() else root.parent
        try:
            found = [_columns(folder / name, ReadOptions()) for name in tables[:_TRIED]]
        except InputError:  # pictures in several columns, or no pyarrow: opening says it
            return not any(map(is_picture, files))
        return any(isinstance(columns, TableColumns) for columns in found) or all(found)

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> ShardedDataset:
        """Look at the ends of all files and at the first captions."""
        folder = root if root.is_dir() else root.parent
        columns, windows, shards, rest = CaptionColumns(options), Windows(), list[Shard](), list[str]()
        for name in files:
            found = _columns(folder / name, options) if _is_parquet(name) else None
            if found is None:
                rest.append(name)
            elif isinstance(found, str):
                shards.append(DamagedShard(folder / name, name, found))
            else:
                file = ParquetPictures(folder / name, found, windows)
                prefix = f"{name[: -len(_SUFFIX)]}/" if root.is_dir() else ""
                pictures = PicturesShard(file, name, prefix, split_of(name), columns)
                shards.append(doubled(folder, name, files) or pictures)
        others, left_out = beside(folder, rest, files)
        dataset = ShardedDataset(self.name, root, options, [*shards, *others], left_out)
        look_at_first(dataset, columns)
        return dataset


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(_SUFFIX)


def _columns(path: Path, options: ReadOptions) -> TableColumns | str | None:
    """The columns of a file; None if it holds no pictures; the reason if it cannot be read."""
    arrow = arrow_module()
    try:
        file = opened(path)
        return columns_of(file.schema_arrow, lambda column: _first_contents(file, column), options)
    except (OSError, ValueError, arrow.lib.ArrowException) as error:
        return f"cannot be read: {first_line(error)}"


def _first_contents(file: pq.ParquetFile, column: str) -> list[bytes]:
    """What stands in the first rows of a column."""
    batches = itertools.islice(file.iter_batches(1, columns=[column], use_threads=False), _LOOKED_AT)
    cells = (batch.column(0)[0].as_py() for batch in batches)
    contents = (cell.get("bytes") if isinstance(cell, dict) else cell for cell in cells)
    return [content for content in contents if isinstance(content, bytes)]
