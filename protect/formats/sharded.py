"""Datasets kept in shards, and the files beside them: which are copied, and which may hold captions as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from protect.buckets import BucketPath
from protect.errors import InputError
from protect.files import copy_file
from protect.formats.columns import CaptionColumns
from protect.formats.dataset_format import Dataset, Edits, ReadOptions, Shard
from protect.formats.folder import FileRun, runs
from protect.formats.placing import placed
from protect.formats.record import LeftOut, Record, SetAside
from protect.formats.traces import summed_up
from protect.formats.walk import Names

_KEPT = re.compile(
    r"(readme|licen[cs]e|notice|citation|changelog|copying|authors)([-_. ].*)?"
    r"|.*\.(md|rst|py|cff)|.*_stats\.json|\.git(attributes|ignore|keep)",
    re.IGNORECASE,
)
_REASONS = (
    (re.compile(r".*\.(idx|index)|sizes\.json|(.*[-_.])?index\.json", re.I), "tells the sizes of the original shards"),
    (re.compile(r"(cache-|tmp|indices-).*\.arrow|.*\.lock", re.I), "a cache, may hold samples as they were"),
    (re.compile(r".*"), "may hold captions or pictures as they were"),
)
"""Why the others are left out, by the first pattern that their name has."""


class ShardedDataset(Dataset):
    """Shards that hold captions and pictures."""

    def __init__(
        self, name: str, root: Path, options: ReadOptions, shards: Iterable[Shard], left_out: Iterable[LeftOut]
    ) -> None:
        self.format, self.root, self.options = name, root, options
        self._shards, self._left_out = tuple(shards), tuple(left_out)

    @property
    def shards(self) -> Sequence[Shard]:
        """Those with samples, then the files beside them."""
        return self._shards

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Files that the copy will lack."""
        return self._left_out


def copy_whole(target: Path, name: str, source: Path, *, link: bool) -> None:
    """Copy a shard that does not change, whatever stands in its place: a changed one may have its size and times."""
    with placed(target, name) as unfinished:
        copy_file(source.resolve(), unfinished, link=link)


class PlainFile(Shard):
    """A file that is copied."""

    def __init__(self, path: Path, name: str) -> None:
        self.name, self.size, self._path = name, path.stat().st_size, path

    def scan(self) -> Iterator[Record | SetAside]:
        """Nothing."""
        return iter(())

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Copy it."""
        copy_whole(target, self.name, self._path, link=link)


class DamagedShard(PlainFile):
    """A file that cannot be read."""

    def __init__(self, path: Path, name: str, reason: str) -> None:
        super().__init__(path, name)
        self._reason = reason

    def scan(self) -> Iterator[Record | SetAside]:
        """The file, with the reason."""
        yield SetAside(self.name, self._reason)


def refuse_left_alone(columns: CaptionColumns, names: Iterable[str], where: str) -> None:
    """Refuse captions that would stay as they are although nobody said so.

    Args:
        columns: what the owner says.
        names: columns in which captions are usually kept.
        where: the table, for messages.

    Raises:
        InputError: naming the column.
    """
    for name in names:
        if not columns.taken(name) and not columns.left(name):
            raise InputError(
                f"{where}: {name!r} looks like captions too, and would show which samples changed",
                f"Use --caption-column for every column to change, or --leave-captions {name} to leave this one.",
            )


def doubled(folder: Path, name: str, files: Sequence[str]) -> DamagedShard | None:
    """A shard that is another one by a link; None for one that is not."""
    other = files.links.get(name) if isinstance(files, Names) else None
    return DamagedShard(folder / name, name, f"the same file as {other}") if other else None


class PlainRun(FileRun):
    """Files that hold no samples."""

    def contents(self, group: Sequence[str], edits: Edits) -> Iterator[tuple[str, bytes | None]]:
        """Nothing changes."""
        return ((path, None) for path in group)


def beside(
    folder: Path, names: Iterable[str], files: Sequence[str], keep: Iterable[str] = ()
) -> tuple[list[Shard], list[LeftOut]]:
    """The files beside the samples: shards of those that are copied, and those that are not.

    Args:
        folder: folder of the dataset.
        names: the files.
        files: all files as the folder was walked; it may know of more that is left out.
        keep: names of files that the format cannot do without.
    """
    kept, out = list[str](), list[LeftOut]()
    for name in names:
        if is_kept(name) or _file(name) in keep:
            kept.append(name)
        else:
            out.append(LeftOut(name, next(reason for kind, reason in _REASONS if kind.fullmatch(_file(name)))))
    walked = files.left_out if isinstance(files, Names) else ()
    in_bucket = isinstance(folder, BucketPath)
    shards = [PlainFile(folder / name, name) for name in kept] if in_bucket else runs(folder, Names(kept), PlainRun)
    return list(shards), [*walked, *summed_up(out)]


def is_kept(name: str) -> bool:
    """Whether a file speaks of the dataset, not of its samples.

    >>> is_kept("README.md"), is_kept("train/00000_stats.json"), is_kept("captions.csv"), is_kept("SHA256SUMS")
    (True, True, False, False)
    """
    return bool(_KEPT.fullmatch(_file(name)))


def _file(name: str) -> str:
    return name.rpartition("/")[2]
