"""What all datasets have in common that are folders of files: runs of files as shards."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path

from protect.formats.dataset_format import Dataset, Edits, ReadOptions, Shard
from protect.formats.placing import place_bytes, place_copy
from protect.formats.record import LeftOut, Record, SetAside
from protect.formats.walk import Names, stem
from protect.pixels.suffixes import PICTURE_SUFFIXES

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
        return partial(Path.read_bytes, self.root / path)

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Copy what does not change, write what does."""
        for group in self.groups():
            for path, data in self.contents(group, edits):
                source = self.root / path
                if data is None:
                    place_copy(target, path, source, link=link)
                else:
                    place_bytes(target, path, data, source.stat())


class FolderDataset(Dataset):
    """A folder of files. Tables of captions, if there are any, are shards of their own and come first."""

    def __init__(
        self,
        name: str,
        root: Path,
        names: Names,
        options: ReadOptions,
        *,
        run: type[FileRun] = FileRun,
        tables: Sequence[Shard] = (),
        left_out: Iterable[LeftOut] = (),
    ) -> None:
        self.format, self.root, self.options, self.names = name, root, options, names
        self._run, self._tables = run, tuple(tables)
        self._left_out = (*names.left_out, *left_out)

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Files that the copy will lack."""
        return self._left_out

    @cached_property
    def _shards(self) -> tuple[Shard, ...]:
        return (*self._tables, *runs(self.root, self.names, self._run))

    @property
    def shards(self) -> Sequence[Shard]:
        """Tables, then runs of files."""
        return self._shards


def runs(root: Path, names: Names, kind: type[FileRun]) -> Iterator[FileRun]:
    """Cut the files into runs. A run's name changes with its files, their sizes and times."""
    start = size = 0
    digest = hashlib.blake2b(digest_size=6)
    number = itertools.count()
    last = None
    for i, path in enumerate(names):
        if stem(path) != last and (i - start >= MOST_FILES or size >= MOST_BYTES):
            yield kind(root, names, range(start, i), f"files-{next(number):05}-{digest.hexdigest()}", size)
            start, size, digest = i, 0, hashlib.blake2b(digest_size=6)
        status = (root / path).stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
        size += status.st_size
        last = stem(path)
    if len(names) > start:
        yield kind(root, names, range(start, len(names)), f"files-{next(number):05}-{digest.hexdigest()}", size)
