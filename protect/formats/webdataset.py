"""Tar shards as webdataset and img2dataset write them: `00000.tar` with `0001.jpg`, `0001.txt`, `0001.json`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from protect.errors import InputError
from protect.files import copy_mode_and_times, size_and_time
from protect.formats.columns import Json, column_of, leaves
from protect.formats.dataset_format import DatasetFormat, Edits, ReadOptions, Shard
from protect.formats.fingerprints import renewed
from protect.formats.img2dataset import Twin, TwinCells
from protect.formats.placing import placed
from protect.formats.record import LeftOut, Record, SetAside
from protect.formats.sharded import ShardedDataset, beside, copy_whole, doubled
from protect.formats.splits import split_of
from protect.formats.tar import Member, TarError, members
from protect.formats.tar_copy import copy_changed
from protect.formats.tar_file import SUFFIXES, GzipSink, Scratch, TarFile, stem_of
from protect.formats.tar_layout import Layout, layout
from protect.formats.tar_samples import TarSample, is_about_dataset, is_class, obstacle, printable, samples
from protect.formats.tar_texts import MemberColumns, TextError, Texts, glance, texts

Row = dict[str, Json]
LOOKED_AT = 200
"""Samples that are looked at before a dataset is read."""
_TO_SCAN, _USUAL = 3.5e-5, 50_000
"""Seconds for each sample; bytes that one has, where none can be looked at."""
_APART = "other samples stand between its members: sort the archive by name, so that readers find them together"


class TarShard(Shard):
    """One archive, with img2dataset's table of the same samples beside it if there is one.

    A sample's key is the archive's path inside the dataset without its ending, a slash, and the key inside the
    archive: `train/00000/0001`. Where a single file is the dataset, it is the key inside the archive alone, so that the
    file may be renamed.
    """

    def __init__(
        self,
        file: TarFile,
        name: str,
        prefix: str,
        columns: MemberColumns,
        classes: bool,
        twin: Twin | None,
        usual: float,
    ) -> None:
        self.name, self._file, self._prefix, self._columns = name, file, prefix, columns
        self._classes, self._twin = classes, twin
        self.size = file.path.stat().st_size + (twin.path.stat().st_size if twin else 0)
        self.scanning, self._opened = _TO_SCAN * self.size / usual, size_and_time(file.path)
        self._looked: tuple[tuple[int, int], Layout | TarError] | None = None

    def scan(self) -> Iterator[Record | SetAside]:
        """All samples in order; the archive alone, with the reason, if it cannot be read whole."""
        try:
            apart = self._layout().apart
        except TarError as error:
            yield SetAside(self.name, str(error))
            return
        told = set[str]()
        with self._file.open() as stream:
            for sample in samples(members(stream)):
                if is_about_dataset(sample) or sample.key in told:
                    continue
                if sample.key in apart:
                    told.add(sample.key)
                    yield SetAside(self._prefix + printable(sample.key), _APART)
                else:
                    yield self._sample(sample, stream)[0]

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Write the archive anew from the first sample that changes; without one it is copied whole."""
        cells: TwinCells = {}
        try:
            found = self._layout()
        except TarError:
            copy_whole(target, self.name, self._file.path, link=link)
        else:
            with self._file.open() as stream:
                self._write(stream, found.end, target, self._changes(stream, found.apart, edits, cells), link)
        if self._twin:
            self._twin.write(target, cells, link=link)

    def _write(
        self, stream: BinaryIO, end: int, target: Path, changes: Iterator[tuple[Member, bytes]], link: bool
    ) -> None:
        first = next(changes, None)
        if first is None:
            copy_whole(target, self.name, self._file.path, link=link)
            return
        with placed(target, self.name) as unfinished:
            with unfinished.open("wb") as out:
                if self._file.compressed:
                    with GzipSink(out, self._file.path) as sink:
                        copy_changed(stream, sink, end, chain([first], changes))
                else:
                    copy_changed(stream, out, end, chain([first], changes))
            copy_mode_and_times(self._file.path.stat(), unfinished)

    def changed(self) -> bool:
        """By size and time."""
        return size_and_time(self._file.path) != self._opened

    def _layout(self) -> Layout:
        """How its samples lie; looked up once for each state of the file."""
        state = size_and_time(self._file.path)
        if self._looked is None or self._looked[0] != state:
            try:
                with self._file.open() as stream:
                    self._looked = (state, layout(stream))
            except TarError as error:
                self._looked = (state, error)
        found = self._looked[1]
        if isinstance(found, TarError):
            raise found
        return found

    def _sample(self, sample: TarSample, stream: BinaryIO) -> tuple[Record | SetAside, Texts, dict[str, str]]:
        """What a sample is, its texts, and its captions with the white space around them."""
        key, nothing = self._prefix + printable(sample.key), Texts((), {})
        self._columns.met.update(filter(self._columns.left, (f".{suffix}" for suffix, _ in sample.members)))
        if reason := obstacle(sample):
            return SetAside(key, reason), nothing, {}
        picture = sample.picture
        where = f"{self.name}, byte {sample.members[0][1].header}"
        wanted = [(s, m) for s, m in sample.members if self._columns.reads(s) or (self._classes and is_class(s))]
        try:
            found = texts(wanted, partial(_read, stream))
        except TextError as error:
            return SetAside(key, str(error)), nothing, {}
        raw = self._class(found.row) if self._classes else self._columns.captions(found.row)
        captions = {field: text.strip() for field, text in raw.items() if text.strip()}
        if not self._classes:
            self._columns.check_row(found.row, captions, where)
        if not captions:
            return SetAside(key, "empty caption" if raw else "no caption"), nothing, {}
        read = partial(self._file.read, picture.data, picture.size)
        return Record(key, captions, read, split_of(self.name), where), found, raw

    def _class(self, row: Mapping[str, Json]) -> dict[str, str]:
        return {name: str(value) for name, value in row.items() if is_class(name[1:])}

    def _changes(
        self, stream: BinaryIO, apart: Collection[str], edits: Edits, cells: TwinCells
    ) -> Iterator[tuple[Member, bytes]]:
        """Members that change, in the order of the archive; `cells` takes up what changes in the table beside it."""
        rows = self._twin.rows() if self._twin else {}
        for sample in (one for one in samples(members(stream)) if one.key not in apart):
            record, found, raw = self._sample(sample, stream)
            if isinstance(record, SetAside):
                continue
            released, picture = edits.captions(record.key, record.captions), edits.picture(record.key, record.read)
            changes: dict[str, str | int] = {
                field: raw[field].replace(old, released[field], 1)
                for field, old in record.captions.items()
                if released[field] != old
            }
            if changes and self._classes:
                raise InputError(f"{self.name} keeps classes as numbers, not captions", "Use --alignment label.")
            if self._twin:
                cells.update(self._twin.new_cells(rows.get(sample.key, ()), record, released, picture))
            changes |= renewed(found.row, record.read, partial(_same, picture), changes)
            new = dict(found.replaced(changes))
            if picture is not None:
                new[sample.picture] = picture
            yield from sorted(new.items(), key=lambda one: one[0].header)


def _same(picture: bytes | None) -> bytes | None:
    return picture


def _read(stream: BinaryIO, member: Member) -> bytes:
    stream.seek(member.data)
    content = stream.read(member.size)
    if len(content) < member.size:
        raise OSError(f"{member.name} became shorter while it was read")
    return content


class Webdataset(DatasetFormat):
    """A folder of archives, or one archive."""

    name = "webdataset"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether there is an archive."""
        return any(map(_is_tar, files))

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> ShardedDataset:
        """Look at the first samples."""
        folder = root if root.is_dir() else root.parent
        columns, scratch, out = MemberColumns(options), Scratch(), list[LeftOut]()
        archives = {name: TarFile(folder / name, scratch) for name in files if _is_tar(name)}
        classes, usual = _look_at_first(archives, columns)
        twins = _twins(folder, archives, files, columns, out)
        shards: list[Shard] = []
        for name, file in archives.items():
            prefix = f"{stem_of(name)}/" if root.is_dir() else ""
            shard = TarShard(file, name, prefix, columns, classes, twins.get(name), usual)
            shards.append(doubled(folder, name, files) or shard)
        taken = archives.keys() | {twin.name for twin in twins.values()} | {one.path for one in out}
        others, left_out = beside(folder, (name for name in files if name not in taken), files)
        dataset = ShardedDataset(self.name, root, options, [*shards, *others], [*left_out, *out])
        dataset.for_classifiers, dataset.columns = classes, columns
        return dataset


def _is_tar(name: str) -> bool:
    return name.lower().endswith(SUFFIXES)


def _twins(
    folder: Path, archives: Iterable[str], files: Sequence[str], columns: MemberColumns, out: list[LeftOut]
) -> dict[str, Twin]:
    """The tables beside archives, by archive; those that cannot be kept go to `out`."""
    tables = {name for name in files if name.endswith(".parquet")}
    twins = {}
    for name in archives:
        table = f"{stem_of(name)}.parquet"
        if table in tables:
            twin = Twin(folder, table, columns)
            if reason := twin.obstacle():
                out.append(LeftOut(table, reason))
            else:
                twins[name] = twin
    return twins


def _look_at_first(archives: Mapping[str, TarFile], columns: MemberColumns) -> tuple[bool, float]:
    """Look at the samples of the first archive that has any.

    Returns:
        Whether they have classes and no captions, and how many bytes one has.

    Raises:
        InputError: see `CaptionColumns.check`.
    """
    looked = ((name, *_glance(file)) for name, file in archives.items())
    name, rows, usual = next((found for found in looked if found[1]), ("", [], _USUAL))
    found = {column_of(field) for row in rows for field, _ in leaves(row)}
    captions = columns.options.caption_columns or any(map(columns.taken, found))
    classes = not captions and any(is_class(column[1:]) for column in found)
    if rows:
        columns.check(rows, name, required=not classes)
    for row in rows if not classes else ():
        columns.check_row(row, {field: text.strip() for field, text in columns.captions(row).items()}, name)
    return classes, usual


def _glance(file: TarFile) -> tuple[list[Row], float]:
    """Texts of the first samples, and how many bytes one has; none if they cannot be read."""
    try:
        with file.open() as stream:
            usable = (sample for sample in samples(members(stream)) if not obstacle(sample))
            looked = list(islice(usable, LOOKED_AT))
            rows = [glance(sample, partial(_read, stream)) for sample in looked]
    except TarError:
        return [], _USUAL
    return rows, looked[-1].members[-1][1].end / len(looked) if looked else _USUAL
