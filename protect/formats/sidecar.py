"""Pictures with their captions in files of the same stem beside them: kohya, img2dataset, webdataset unpacked."""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from protect.errors import InputError
from protect.formats.caption_files import JSON, TEXTS, CaptionFiles, SampleFiles, UnreadableError
from protect.formats.columns import CaptionColumns, Json
from protect.formats.dataset_format import AS_IT_IS, DatasetFormat, Edits, ReadOptions
from protect.formats.folder import FileRun, FolderDataset, is_picture, without_traces
from protect.formats.img2dataset import Twin, TwinCells
from protect.formats.record import LeftOut, Record, SetAside, normalised
from protect.formats.splits import split_of
from protect.formats.walk import Names, names_of, stem

_LOOKED_AT = 200
"""JSON files that are looked at before a folder is read."""
_TO_SCAN = 2e-5
"""Seconds for each file."""
_ENDINGS = frozenset((*TEXTS, JSON))


class SidecarRun(FileRun):
    """Pictures with the caption files beside them."""

    def __init__(
        self,
        columns: CaptionColumns,
        twins: Mapping[str, Twin],
        root: Path,
        names: Names,
        run: range,
        name: str,
        size: int,
    ) -> None:
        super().__init__(root, names, run, name, size)
        self.scanning = _TO_SCAN * len(run)
        self._beside = CaptionFiles(root, columns)
        self._twin = twins.get(posixpath.dirname(names[run.start])) if run else None

    def scan(self) -> Iterator[Record | SetAside]:
        """A record for every picture."""
        for files in self.groups():
            yield from self._records(SampleFiles.of(files))

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Picture and caption files as released, and img2dataset's table of the same samples if there is one."""
        rows = self._twin.rows() if self._twin else {}
        cells: TwinCells = {}
        for files in self.groups():
            group = SampleFiles.of(files)
            found = next(self._records(group), None)
            new: dict[str, bytes] = {}
            if isinstance(found, Record):
                captions = edits.captions(found.key, found.captions)
                picture = self.picture(found.key, edits)
                new = self._beside.rewritten(group, found, captions, picture)
                new |= {} if picture is None else {found.key: picture}
                if self._twin:
                    own = rows.get(posixpath.basename(stem(found.key)), ())
                    cells.update(self._twin.new_cells(own, found, captions, picture))
            for path in files:
                self.place(target, path, new.get(path), link=link)
        if self._twin:
            self._twin.write(target, cells, link=link)

    def _records(self, group: SampleFiles) -> Iterator[Record | SetAside]:
        for key in group.pictures:
            others = [other for other in group.pictures if other != key]
            if key in self.names.links:
                yield SetAside(key, f"the same file as {self.names.links[key]}")
            elif others:
                yield SetAside(key, _shared(key, others))
            else:
                yield self._record(key, group)

    def _record(self, key: str, group: SampleFiles) -> Record | SetAside:
        try:
            captions = self._beside.captions(group)
        except UnreadableError as error:
            return SetAside(key, str(error))
        if not captions:
            return SetAside(key, "empty caption" if group.texts else "no caption")
        return Record(key, captions, self.reader(key), split_of(key), key)


class Sidecar(DatasetFormat):
    """Captions in `.txt`, `.caption` or `.json` beside each picture."""

    name = "sidecar"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether a picture has a text of the same stem, or a JSON file with a caption."""
        jsons: list[str] = []
        if not any(map(_holds_captions, files)):
            return False
        for group in _groups(files):
            if group.texts:
                return True
            jsons += list(group.jsons)[: _LOOKED_AT - len(jsons)]
        columns = CaptionColumns(AS_IT_IS)
        return any(columns.captions(row) for row in _readable(CaptionFiles(root, columns), jsons))

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> FolderDataset:
        """Look at the first JSON files, and at the tables of img2dataset."""
        columns = CaptionColumns(options)
        jsons = itertools.islice((path for group in _groups(files) for path in group.jsons), _LOOKED_AT)
        rows = list(_readable(CaptionFiles(root, columns), jsons))
        if options.caption_columns and not rows:
            raise InputError(
                f"{root} keeps captions in files beside the pictures, and no column {options.caption_columns[0]!r}: "
                "text files have none",
                "Leave --caption-column out: all their lines are captions. --leave-captions .txt leaves one kind.",
            )
        columns.check(rows, "a .json file beside the pictures", required=False)
        twins, refused = _twins(root, files, columns)
        tables = [twin.name for twin in twins.values()] + [one.path for one in refused]
        dataset = FolderDataset(
            self.name,
            root,
            without_traces(names_of(files).without(tables, refused)),
            options,
            run=partial(SidecarRun, columns, twins),
            sidecars=frozenset((*TEXTS, JSON)),
            undivided=twins,
        )
        dataset.columns = columns
        return dataset


def _holds_captions(name: str) -> bool:
    return name[name.rfind(".") :].lower() in _ENDINGS


def twin_names(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Tables of img2dataset and the folders of their pictures: `00000.parquet` beside `00000`."""
    tables = {name.removesuffix(".parquet"): name for name in files if name.endswith(".parquet")}
    folders = {posixpath.dirname(name) for name in files if is_picture(name)} if tables else set()
    return ((name, folder) for folder, name in tables.items() if folder in folders)


def _twins(root: Path, files: Sequence[str], columns: CaptionColumns) -> tuple[dict[str, Twin], list[LeftOut]]:
    """Tables that can be kept in step, by their folder; and those that cannot."""
    twins, refused = {}, []
    for name, folder in twin_names(files):
        twin = Twin(root, name, columns)
        if reason := twin.obstacle():
            refused.append(LeftOut(name, reason))
        else:
            twins[folder] = twin
    return twins, refused


def _shared(key: str, others: Sequence[str]) -> str:
    """Why pictures with one caption are set aside: it would be right for one only, if the other carries no mark."""
    alike = next((other for other in others if normalised(other) == normalised(key)), None)
    if alike is None:
        return f"shares its caption with {', '.join(others)}"
    both = f"{key!a} and {alike!a}"
    return f"there is another picture of this name in another Unicode spelling: {both}"


def _groups(files: Sequence[str]) -> Iterator[SampleFiles]:
    """Groups with a picture and something beside it."""
    for _, found in itertools.groupby(files, stem):
        group = SampleFiles.of(list(found))
        if group.pictures and (group.texts or group.jsons):
            yield group


def _readable(files: CaptionFiles, paths: Iterable[str]) -> Iterator[Json]:
    for path in paths:
        try:
            yield files.json(path)
        except UnreadableError:
            continue
