"""The files of a dataset's folder, in one order on every machine. Links are followed inside the dataset only."""

from __future__ import annotations

import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np

from protect.buckets import BucketPath
from protect.errors import InputError
from protect.formats.record import LeftOut, normalised
from protect.formats.traces import no_data, summed_up

_CACHE_FOLDERS = ("models--", "datasets--", "spaces--")
"""How the folders of a Hugging Face cache begin; their snapshots are links to the `blobs` beside."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file or folder as the walk met it."""

    path: str
    """Path inside the dataset, with forward slashes."""
    reason: str = ""
    """Why it is no data; empty for a file that is. A folder that is no data is one entry."""
    target: str = ""
    """Path inside the dataset of the file that this one links to, if that is data too."""


def entries(root: Path) -> Iterator[Entry]:
    """Everything below a folder: of each folder first its files, by stem and then by ending, then its folders.

    Files of one stem follow each other in this order.

    Raises:
        InputError: if a name is not UTF-8, or a link leaves the dataset or leads round in a circle.
        OSError: if a folder cannot be read.
    """
    inside = _Inside(root)
    waiting: list[tuple[str, str, tuple[str, ...]]] = [(inside.root, "", ())]
    while waiting:
        folder, prefix, crossed = waiting.pop()
        folders = []
        for found in _sorted(folder, prefix):
            path = prefix + found.name
            real = os.path.realpath(found.path) if found.is_symlink() else found.path
            entry = inside.entry(found, path, real)
            if entry.reason or not found.is_dir():
                yield entry
                continue
            via = (*crossed, folder) if found.is_symlink() else crossed
            if found.is_symlink() and any(_below(real, above) for above in (*via, folder)):
                raise InputError(f"{path} is a link to {real}, which holds it", "Remove the link.")
            folders.append((real, path + "/", via))
        waiting += reversed(folders)


def _in_bucket(root: BucketPath) -> Iterator[Entry]:
    """The same of a bucket, in the same order; nothing there is a link."""
    told = set[str]()
    for path in sorted(root.below(), key=_order):
        parts = path.split("/")
        hidden = next((i for i, part in enumerate(parts, 1) if no_data(part)), 0)
        if not hidden:
            yield Entry(path)
        elif (name := "/".join(parts[:hidden])) not in told:
            told.add(name)
            yield Entry(name, no_data(parts[hidden - 1]))


def _order(path: str) -> list[tuple[bool, str, str]]:
    *folders, name = path.split("/")
    return [*((True, stem(folder), folder) for folder in folders), (False, stem(name), name)]


def _sorted(folder: str, prefix: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if any("\ud800" <= c <= "\udfff" for c in entry.name):
            raise InputError(f"{prefix + entry.name!r} is no valid name", "Rename it in UTF-8.")
    return sorted(entries, key=lambda entry: (stem(entry.name), entry.name))


class _Inside:
    """A dataset's real place, and what of it is seen when a link is followed."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._allowed = (self.root, *_blobs(Path(self.root)))

    def entry(self, found: os.DirEntry[str], path: str, real: str) -> Entry:
        """What the walk says about one file or folder that really lies at `real`."""
        if reason := no_data(found.name):
            return Entry(path, reason)
        if found.is_symlink() and not any(_below(place, real) for place in self._allowed):
            raise InputError(f"{path} is a link to {real}, outside of the dataset", "Put the file itself in its place.")
        if not found.is_file() and not found.is_dir():
            return Entry(path, "a link to nothing" if found.is_symlink() else "neither a file nor a folder")
        target = real[len(self.root) :].strip("/") if _below(self.root, real) else path
        hidden = target == path or any(no_data(part) for part in target.split("/"))
        return Entry(path, target="" if hidden else target)


def _below(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _blobs(root: Path) -> list[str]:
    """The folder of a Hugging Face cache where the files of this snapshot really lie."""
    return [str(above / "blobs") for above in root.parents if above.name.startswith(_CACHE_FOLDERS)]


def stem(path: str) -> str:
    """What a picture and the files that belong to it have in common: the path without its last ending, normalised.

    >>> stem("cats/a.b.png")
    'cats/a.b'
    """
    return normalised(os.path.splitext(path)[0])  # noqa: PTH122 - paths inside archives too


class Names(Sequence[str]):
    """Many names in little memory: about 20 bytes more than each name's own length. The same in every process."""

    def __init__(self, names: Iterable[str]) -> None:
        self.left_out: tuple[LeftOut, ...] = ()
        """What else lies in the folder, and will be missing in the copy."""
        self.links: Mapping[str, str] = {}
        """Files that have two names, because one is a link: each with the other."""
        text, ends = bytearray(), array("Q")
        for name in names:
            text += name.encode()
            ends.append(len(text))
        self._text, self._ends = bytes(text), ends
        self._last = 0
        """Where a name was found last: tables list files mostly in their order."""

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield self._text[start:end].decode()
            start = end

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        return self._bytes(index).decode()

    def _bytes(self, index: int) -> bytes:
        return self._text[self._ends[index - 1] if index else 0 : self._ends[index]]

    @cached_property
    def _by_hash(self) -> tuple[array[int], array[int]]:
        """Hashes of all normalised names in ascending order, and the positions of the names."""
        hashes = np.fromiter((_hash(normalised(name)) for name in self), np.uint32, len(self))
        order = np.argsort(hashes, kind="stable")
        return array("I", hashes[order].tobytes()), array("Q", order.astype(np.uint64).tobytes())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and any(self[i] == name for i in self._alike(normalised(name)))

    def find(self, name: str) -> int | None:
        """Position of a name, in this spelling if there is one, else in another that is the same when normalised."""
        spelt_so = name.encode("utf-8", "surrogatepass")
        for i in (self._last, self._last + 1):
            if i < len(self._ends) and self._bytes(i) == spelt_so:
                self._last = i
                return i
        wanted, found = normalised(name), None
        for i in self._alike(wanted):
            spelt = self[i]
            if spelt == name:
                self._last = i
                return i
            if found is None and normalised(spelt) == wanted:
                found = i
        return found

    def _alike(self, wanted: str) -> Iterator[int]:
        """Positions of the names with the hash of a normalised one, in their order."""
        hashes, order = self._by_hash
        value = _hash(wanted)
        for place in range(bisect_left(hashes, value), len(hashes)):
            if hashes[place] != value:
                return
            yield order[place]

    def without(self, names: Iterable[str], left_out: Sequence[LeftOut] = ()) -> Names:
        """The same but for some names.

        Args:
            names: what is taken away.
            left_out: those of them that the copy will lack, with the reason.
        """
        gone = frozenset(names)
        fewer = Names(name for name in self if name not in gone) if gone else self
        fewer.left_out, fewer.links = (*self.left_out, *left_out), self.links
        return fewer


def _hash(name: str) -> int:
    """Of 32 bits, and unlike Python's own the same in every process."""
    return zlib.crc32(name.encode())


def walk(root: Path) -> Names:
    """All data files below a folder; see `entries` for the order and the errors."""
    left_out: list[LeftOut] = []
    links: dict[str, str] = {}

    def data() -> Iterator[str]:
        for entry in _in_bucket(root) if isinstance(root, BucketPath) else entries(root):
            if entry.reason:
                left_out.append(LeftOut(entry.path, entry.reason))
                continue
            if entry.target:
                links[entry.path] = entry.target
                links[entry.target] = entry.path
            yield entry.path

    names = Names(data())
    names.left_out, names.links = tuple(summed_up(left_out)), links
    return names


def names_of(files: Sequence[str]) -> Names:
    """The names as `Names`, if they are not yet."""
    return files if isinstance(files, Names) else Names(files)
