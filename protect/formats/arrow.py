"""Datasets as `save_to_disk` of the library `datasets` writes them: `state.json` and Arrow streams."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.files import size_and_time
from protect.formats.arrow_cells import arrow_module, checked, first_line
from protect.formats.columns import CaptionColumns
from protect.formats.dataset_format import DatasetFormat, ReadOptions, Shard
from protect.formats.images_in_tables import DamagedError, PicturesShard, TableFile, look_at_first
from protect.formats.record import TRAIN
from protect.formats.sharded import DamagedShard, ShardedDataset, beside, doubled
from protect.formats.splits import canonical
from protect.formats.table_columns import TableColumns, columns_of

if TYPE_CHECKING:
    import pyarrow as pa

STATE = "state.json"
_KEPT = (STATE, "dataset_info.json", "dataset_dict.json")
_SUFFIX = ".arrow"
_ENDS = (b"\xff\xff\xff\xff\0\0\0\0", b"\0\0\0\0")
"""End marks of a stream, today's and the oldest."""
_PIECE = 1000
"""Rows whose texts are read at a time."""


@lru_cache(maxsize=4)
def _batches(path: Path, state: tuple[int, int]) -> tuple[pa.RecordBatch, ...]:
    """All record batches of a stream. They are views of the file, not copies."""
    pa = arrow_module()
    source = pa.memory_map(str(path))
    with pa.ipc.open_stream(source) as reader:
        batches = tuple(reader)
    end = source.tell()
    source.seek(max(0, end - 8))
    if not source.read(8).endswith(_ENDS) or end != state[0]:
        raise DamagedError("cut short: it has no end mark")
    return batches


class ArrowPictures(TableFile):
    """An Arrow stream with pictures. Its groups are its record batches."""

    def __init__(self, path: Path, columns: TableColumns) -> None:
        self.path, self.columns = path, columns

    def _all(self) -> tuple[pa.RecordBatch, ...]:
        return _batches(self.path, size_and_time(self.path))

    @property
    def groups(self) -> int:
        """Record batches."""
        return len(self._all())

    def rows(self, group: int) -> int:
        """Rows of a record batch."""
        return int(self._all()[group].num_rows)

    def check(self) -> None:
        """Look whether all parts of all record batches are where they should be."""
        for batch in self._all():
            checked(batch)

    def texts(self, group: int) -> Iterator[pa.RecordBatch]:
        """Captions and paths in pieces."""
        pa, batch = arrow_module(), self._all()[group]
        columns = {name: batch.column(name) for name in self.columns.texts}
        if self.columns.path:
            struct = batch.column(self.columns.picture)
            path = struct.flatten()[struct.type.get_field_index("path")]
            columns[self.columns.picture] = pa.StructArray.from_arrays([path], ["path"])
        rows = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
        return (rows.slice(start, _PIECE) for start in range(0, batch.num_rows, _PIECE))

    def whole(self, group: int) -> Iterator[pa.RecordBatch]:
        """The record batch."""
        return iter((self._all()[group],))

    def lacking(self, group: int) -> frozenset[int]:
        """Read from the batch's map of missing values."""
        pictures = self._bytes(group)
        missing = enumerate(pictures.is_null().to_pylist()) if pictures.null_count else ()
        return frozenset(row for row, is_missing in missing if is_missing)

    def picture(self, group: int, row: int) -> bytes:
        """Read from its place in the file."""
        content = self._bytes(group)[row].as_py()
        if not isinstance(content, bytes):
            raise OSError(f"{self.path.name} has no picture in row {row} of batch {group}")
        return content

    def _bytes(self, group: int) -> pa.Array:
        column = self._all()[group].column(self.columns.picture)
        struct = arrow_module("pyarrow.types").is_struct(column.type)
        return column.flatten()[column.type.get_field_index("bytes")] if struct else column

    @contextmanager
    def rewriting(self, target: Path) -> Iterator[Callable[[Iterable[pa.RecordBatch]], None]]:
        """Write a stream of the same schema; each call writes its record batches."""
        arrow = arrow_module()
        with arrow.ipc.open_stream(arrow.memory_map(str(self.path))) as reader:
            schema = reader.schema
        with arrow.OSFile(str(target), "wb") as sink, arrow.ipc.new_stream(sink, schema) as writer:

            def write(batches: Iterable[pa.RecordBatch]) -> None:
                for batch in batches:
                    writer.write_batch(batch)

            yield write


class SavedToDisk(DatasetFormat):
    """A dataset in one folder, or splits in a folder each.

    `state.json` keeps its fingerprint: a new one would be of no use to `datasets`, and this one tells nothing.
    """

    name = "save_to_disk"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether a `state.json` lies beside a `dataset_info.json`."""
        if root.is_file():
            return False
        small = {name for name in files if name.endswith(".json")}
        return any(f"{_folder(name)}dataset_info.json" in small for name in small if _file(name) == STATE)

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> ShardedDataset:
        """Read every `state.json` and look at the first captions."""
        columns, data = CaptionColumns(options), dict[str, str]()
        for name in files:
            if _file(name) == STATE:
                data |= _data_files(root, name)
        present = {name for name in files if name.endswith(_SUFFIX)}
        if missing := sorted(data.keys() - present):
            raise InputError(f"{root} lacks {missing[0]}, which its {STATE} names", "Save the dataset again.")
        rest = [name for name in files if name not in data]
        shards = [doubled(root, n, files) or _shard(root, n, split, columns) for n, split in sorted(data.items())]
        others, left_out = beside(root, rest, files, keep=_KEPT)
        dataset = ShardedDataset(self.name, root, options, [*shards, *others], left_out)
        look_at_first(dataset, columns)
        return dataset


def _shard(root: Path, name: str, split: str, columns: CaptionColumns) -> Shard:
    path = root / name
    try:
        with arrow_module().ipc.open_stream(arrow_module().memory_map(str(path))) as reader:
            first = next(iter(reader), None)
            found = columns_of(reader.schema, partial(_first_contents, first), columns.options)
    except (OSError, ValueError, arrow_module().lib.ArrowException) as error:
        return DamagedShard(path, name, f"cannot be read: {first_line(error)}")
    if found is None:
        raise InputError(f"{name} has no column of pictures", "Give a dataset with pictures inside, not their paths.")
    return PicturesShard(ArrowPictures(path, found), name, f"{name.removesuffix(_SUFFIX)}/", split, columns)


def _first_contents(batch: pa.RecordBatch | None, column: str) -> list[bytes]:
    """What stands in the first rows of a column."""
    first = checked(batch.slice(0, 8)).column(column.removesuffix(".bytes")).to_pylist() if batch else []
    contents = (cell.get("bytes") if isinstance(cell, dict) else cell for cell in first)
    return [content for content in contents if isinstance(content, bytes)]


def _data_files(root: Path, name: str) -> dict[str, str]:
    """Paths of the files that a `state.json` names, each with its split.

    Raises:
        InputError: if it cannot be read, or puts rows in an order of its own.
    """
    folder = _folder(name)
    try:
        state = json.loads((root / name).read_text(encoding="utf-8"))
        files = [str(file["filename"]) for file in state["_data_files"]]
        split = canonical(folder.rstrip("/").rpartition("/")[2] or re.split(r"\W", state.get("_split") or TRAIN)[0])
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{root / name} is damaged", "Save the dataset again.") from None
    if state.get("_indices_data_files"):
        raise InputError(
            f"{root / name} keeps its rows in an order of its own (an indices mapping)",
            "Call flatten_indices() and save_to_disk() again.",
        )
    return {folder + file: split for file in files}


def _file(name: str) -> str:
    return name.rpartition("/")[2]


def _folder(name: str) -> str:
    return name[: len(name) - len(_file(name))]
