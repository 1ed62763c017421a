"""Pictures with their captions in files of the same stem beside them: kohya, img2dataset, webdataset unpacked."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from protect.formats.columns import CaptionColumns, Json
from protect.formats.dataset_format import DatasetFormat, Edits, ReadOptions
from protect.formats.fingerprints import renewed
from protect.formats.folder import FileRun, FolderDataset, is_picture, without_traces
from protect.formats.json_text import parsed, spliced
from protect.formats.record import Record, SetAside
from protect.formats.splits import split_of
from protect.formats.walk import Names, names_of, stem

TEXTS = frozenset({".txt", ".caption", ".captions", ".tags"})
JSON = ".json"
_LINE = re.compile(r"[^\r\n]+")
_LOOKED_AT = 200
"""JSON files that are looked at before a folder is read."""


class UnreadableError(Exception):
    """A caption file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class _Group:
    """The files of one stem."""

    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    jsons: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[str]) -> _Group:
        endings = {file: posixpath.splitext(file)[1].lower() for file in files}
        return cls(
            tuple(filter(is_picture, files)),
            tuple(file for file, ending in endings.items() if ending in TEXTS),
            tuple(file for file, ending in endings.items() if ending == JSON),
        )


class SidecarRun(FileRun):
    """Pictures with the caption files beside them."""

    def __init__(self, columns: CaptionColumns, root: Path, names: Names, run: range, name: str, size: int) -> None:
        super().__init__(root, names, run, name, size)
        self.columns = columns

    def scan(self) -> Iterator[Record | SetAside]:
        """A record for every picture."""
        for files in self.groups():
            yield from self._records(_Group.of(files))

    def contents(self, group: Sequence[str], edits: Edits) -> Iterator[tuple[str, bytes | None]]:
        """Picture and caption files as released."""
        files = _Group.of(group)
        found = next(self._records(files), None)
        new = self._released(files, found, edits) if isinstance(found, Record) else {}
        for path in group:
            yield path, new.get(path)

    def _records(self, group: _Group) -> Iterator[Record | SetAside]:
        for key in group.pictures:
            if key in self.names.links:
                yield SetAside(key, f"the same file as {self.names.links[key]}")
            elif len(group.pictures) > 1:
                others = ", ".join(other for other in group.pictures if other != key)
                yield SetAside(key, f"shares its caption with {others}")
            else:
                yield self._record(key, group)

    def _record(self, key: str, group: _Group) -> Record | SetAside:
        try:
            captions = {field: text for path in group.texts for field, text, *_ in self._lines(path)}
            rows = {path: _json(self.root, path) for path in group.jsons}
        except UnreadableError as error:
            return SetAside(key, str(error))
        for row in rows.values():
            found = {f"{JSON}:{name}": text.strip() for name, text in self.columns.captions(row).items()}
            captions |= {field: text for field, text in found.items() if text}
        for path, row in rows.items():
            self.columns.check_row(row, captions, path)
        if not captions:
            return SetAside(key, "empty caption" if group.texts else "no caption")
        return Record(key, captions, self.reader(key), split_of(key), key)

    def _lines(self, path: str) -> Iterator[tuple[str, str, int, int]]:
        """Field, caption, start and end of every line of a text file that is not blank."""
        ending = posixpath.splitext(path)[1]
        if self.columns.left(ending):
            return
        number = itertools.count(1)
        for line in _LINE.finditer(_text(self.root, path)):
            if caption := line.group().strip():
                start = line.start() + line.group().index(caption)
                n = next(number)
                yield (ending if n == 1 else f"{ending}:{n}"), caption, start, start + len(caption)

    def _released(self, group: _Group, record: Record, edits: Edits) -> dict[str, bytes]:
        new: dict[str, bytes] = {}
        captions = edits.captions(record.key, record.captions)
        picture = self.picture(record.key, edits)
        if picture is not None:
            new[record.key] = picture
        if any(captions[field] != old for field, old in record.captions.items()):
            new |= {path: self._rewritten(path, captions) for path in group.texts}
        for path in group.jsons:
            row = _json(self.root, path)
            raw = self.columns.captions(row)
            changes: dict[str, str | int] = {
                name: raw[name].replace(old, captions[field], 1)
                for field, old in record.captions.items()
                if (name := field.removeprefix(f"{JSON}:")) in raw and name != field and captions[field] != old
            }
            changes |= renewed(row, record.read, partial(lambda data: data, picture), changes)
            if changes:
                new[path] = _encoded(self.root, path, spliced(_text(self.root, path), changes))
        return new

    def _rewritten(self, path: str, captions: Mapping[str, str]) -> bytes:
        """A text file with other captions; white space and ends of lines stay."""
        text = _text(self.root, path)
        pieces, last = [], 0
        for field, _, start, end in self._lines(path):
            pieces += [text[last:start], captions[field]]
            last = end
        return _encoded(self.root, path, "".join([*pieces, text[last:]]))


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise UnreadableError(f"{path} is not readable UTF-8") from None


def _encoded(root: Path, path: str, text: str) -> bytes:
    start = (root / path).read_bytes()[:3]
    return (start if start == b"\xef\xbb\xbf" else b"") + text.encode()


def _json(root: Path, path: str) -> Json:
    try:
        return parsed(_text(root, path))
    except (ValueError, RecursionError):
        raise UnreadableError(f"{path} is not JSON") from None


class Sidecar(DatasetFormat):
    """Captions in `.txt`, `.caption` or `.json` beside each picture."""

    name = "sidecar"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether a picture has a text of the same stem, or a JSON file with a caption."""
        jsons: list[str] = []
        for group in _groups(files):
            if group.texts:
                return True
            jsons += list(group.jsons)[: _LOOKED_AT - len(jsons)]
        columns = CaptionColumns(ReadOptions())
        return any(columns.captions(row) for row in _readable(root, jsons))

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> FolderDataset:
        """Look at the first JSON files."""
        names = without_traces(names_of(files))
        columns = CaptionColumns(options)
        jsons = (path for group in _groups(files) for path in group.jsons)
        rows = list(_readable(root, itertools.islice(jsons, _LOOKED_AT)))
        columns.check(rows, "the .json files beside the pictures", required=False)
        return FolderDataset(
            self.name, root, names, options, run=partial(SidecarRun, columns), sidecars=frozenset((*TEXTS, JSON))
        )


def _groups(files: Sequence[str]) -> Iterator[_Group]:
    """Groups with a picture and something beside it."""
    for _, found in itertools.groupby(files, stem):
        group = _Group.of(list(found))
        if group.pictures and (group.texts or group.jsons):
            yield group


def _readable(root: Path, paths: Iterator[str] | Sequence[str]) -> Iterator[Json]:
    for path in paths:
        try:
            yield _json(root, path)
        except UnreadableError:
            continue
