"""What all datasets have in common that are folders of files: runs of files as shards."""

from __future__ import annotations

import hashlib
import itertools
import os
import posixpath
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

from protect.files import read_file
from protect.formats.dataset_format import Dataset, Edits, ReadOptions, Shard
from protect.formats.placing import place_bytes, place_copy
from protect.formats.record import LeftOut, Record, SetAside
from protect.formats.repeats import repeats
from protect.formats.traces import summed_up, traces
from protect.formats.walk import Names, stem
from protect.pixels.suffixes import PICTURE_SUFFIXES

SAMPLED = 20
"""Samples whose captions and pictures are looked for in other files."""
MOST_FILES = 256
MOST_BYTES = 64 << 20
"""Where a run of files ends."""


def is_picture(path: str) -> bool:
    """Whether a file's ending is one of a picture."""
    dot = path.rfind(".")
    return dot > path.rfind("/") and path[dot:].lower() in PICTURE_SUFFIXES


class FileRun(Shard):
    """A run of a folder's files. By itself it knows no captions: they are in a table, which is another shard."""

    def __init__(self, root: Path, names: Names, run: range, name: str, size: int) -> None:
        self.root, self.names, self.run = root, names, run
        self.name, self.size = name, size

    def changed(self) -> bool:
        """By the files' sizes and times."""
        try:
            return not self.name.endswith(_state(self.root, (self.names[i] for i in self.run)))
        except OSError:
            return True

    def groups(self) -> Iterator[list[str]]:
        """The files of the run, those of one stem together."""
        for _, group in itertools.groupby((self.names[i] for i in self.run), stem):
            yield list(group)

    def scan(self) -> Iterator[Record | SetAside]:
        """Nothing."""
        return iter(())

    def contents(self, group: Sequence[str], edits: Edits) -> Iterator[tuple[str, bytes | None]]:
        """Every file of a group with its content as released; None if it does not change."""
        for path in group:
            yield path, self.picture(path, edits) if is_picture(path) else None

    def picture(self, path: str, edits: Edits) -> bytes | None:
        """The picture file as released. One with two names cannot change under one of them."""
        return None if path in self.names.links else edits.picture(path, self.reader(path))

    def reader(self, path: str) -> partial[bytes]:
        """Reads a file as stored."""
        return partial(read_file, f"{self.root}/{path}")

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Copy what does not change, write what does."""
        for group in self.groups():
            for path, data in self.contents(group, edits):
                self.place(target, path, data, link=link)

    def place(self, target: Path, path: str, data: bytes | None, *, link: bool) -> None:
        """One file with its content as released; None if it does not change."""
        if data is None:
            place_copy(target, path, f"{self.root}/{path}", link=link)
        else:
            place_bytes(target, path, data, (self.root / path).stat())


RunKind = Callable[[Path, Names, range, str, int], FileRun]
"""Makes a run of files."""


class FolderDataset(Dataset):
    """A folder of files. Tables of captions, if there are any, are shards of their own and come first.

    Args:
        name: the format's.
        root: the folder.
        names: its files, without tables and traces (`without_traces`).
        options: what the owner says.
        run: makes a run of files.
        tables: shards that hold captions.
        sidecars: endings of files beside a picture that hold its captions.
        undivided: folders of which each is one run.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        names: Names,
        options: ReadOptions,
        *,
        run: RunKind = FileRun,
        tables: Sequence[Shard] = (),
        sidecars: frozenset[str] = frozenset(),
        undivided: Container[str] = (),
    ) -> None:
        self.format, self.root, self.options, self.names = name, root, options, names
        self._run, self._tables, self._sidecars, self._undivided = run, tuple(tables), sidecars, undivided

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Files that the copy will lack."""
        return self._copied.left_out

    @property
    def shards(self) -> Sequence[Shard]:
        """Tables, then runs of files."""
        return self._shards

    @cached_property
    def _shards(self) -> tuple[Shard, ...]:
        return (*self._tables, *runs(self.root, self._copied, self._run, self._undivided))

    @cached_property
    def _copied(self) -> Names:
        """The files that the copy gets, without those that repeat what some sample holds."""
        captions = not self.for_classifiers
        found = list(repeats(self.root, self._others(), self._sample(), captions=captions))
        return self.names.without((one.path for one in found), tuple(summed_up(found)))

    def _others(self) -> Iterator[str]:
        """Files that are neither pictures nor hold their captions."""
        for _, group in itertools.groupby(self.names, stem):
            files = list(group)
            beside = self._sidecars if any(map(is_picture, files)) else frozenset()
            yield from (f for f in files if not is_picture(f) and posixpath.splitext(f)[1].lower() not in beside)

    def _sample(self) -> list[Record]:
        first = self._tables or (self._run(self.root, self.names, range(min(MOST_FILES, len(self.names))), "", 0),)
        records = (found for shard in first for found in shard.scan() if isinstance(found, Record))
        return list(itertools.islice(records, SAMPLED))


def without_traces(names: Names, tables: Iterable[str] = ()) -> Names:
    """The names of a dataset's files but for its tables of captions, and for what may hold originals."""
    others = names.without(tables)
    found = list(traces(others, is_picture))
    return others.without((one.path for one in found), tuple(summed_up(found)))


def runs(root: Path, names: Names, kind: RunKind, undivided: Container[str] = ()) -> Iterator[FileRun]:
    """Cut the files into runs. A run's name changes with its files, their sizes and times.

    Args:
        root: the folder.
        names: its files.
        kind: makes a run.
        undivided: folders of which each is one run, however large; they hold no folders of pictures.
    """
    number = itertools.count()
    start = size = 0
    digest = hashlib.blake2b(digest_size=6)
    last = last_whole = ""
    for i, path in enumerate(names):
        current, folder = stem(path), posixpath.dirname(path)
        whole = folder if folder in undivided else ""
        full = not whole and current != last and (i - start >= MOST_FILES or size >= MOST_BYTES)
        if i > start and (full or whole != last_whole):
            yield kind(root, names, range(start, i), f"files-{next(number):05}-{digest.hexdigest()}", size)
            start, size, digest = i, 0, hashlib.blake2b(digest_size=6)
        size += _take_in(root, path, digest)
        last, last_whole = current, whole
    if len(names) > start:
        yield kind(root, names, range(start, len(names)), f"files-{next(number):05}-{digest.hexdigest()}", size)


def _take_in(root: Path, path: str, digest: hashlib.blake2b) -> int:
    """Take a file's name, size and time into a digest; its size."""
    status = os.stat(f"{root}/{path}")  # noqa: PTH116 - once for every file: a path object takes longer
    digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return status.st_size


def _state(root: Path, paths: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=6)
    for path in paths:
        _take_in(root, path, digest)
    return digest.hexdigest()
