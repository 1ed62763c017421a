"""Datasets kept in shards, and the files beside them: which are copied, and which may hold captions as they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from protect.formats.dataset_format import Dataset, Edits, ReadOptions, Shard
from protect.formats.folder import FileRun, runs
from protect.formats.placing import place_copy
from protect.formats.record import LeftOut, Record, SetAside
from protect.formats.walk import Names

_KEPT = re.compile(
    r"(readme|licen[cs]e|notice|citation|changelog|copying|authors)([-_. ].*)?"
    r"|.*\.(md|rst|py|ya?ml|toml|cff|html?)|.*_stats\.json|(dataset_(infos?|dict)|state)\.json|\.git(attributes|ignore|keep)",
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


class DamagedShard(Shard):
    """A file that cannot be read."""

    def __init__(self, path: Path, name: str, reason: str) -> None:
        self.name, self.size, self._path, self._reason = name, path.stat().st_size, path, reason

    def scan(self) -> Iterator[Record | SetAside]:
        """The file, with the reason."""
        yield SetAside(self.name, self._reason)

    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Copy it."""
        place_copy(target, self.name, self._path, link=link)


def doubled(folder: Path, name: str, files: Sequence[str]) -> DamagedShard | None:
    """A shard that is another one by a link; None for one that is not."""
    other = files.links.get(name) if isinstance(files, Names) else None
    return DamagedShard(folder / name, name, f"the same file as {other}") if other else None


class PlainRun(FileRun):
    """Files that hold no samples."""

    def contents(self, group: Sequence[str], edits: Edits) -> Iterator[tuple[str, bytes | None]]:
        """Nothing changes."""
        return ((path, None) for path in group)


def plain_runs(root: Path, names: Iterable[str]) -> Iterator[FileRun]:
    """Shards of the files beside the samples that are copied."""
    return runs(root, Names(name for name in names if is_kept(name)), PlainRun)


def left_out(names: Iterable[str], files: Sequence[str]) -> Iterator[LeftOut]:
    """The other files beside the samples, and what was left out when the folder was walked (`files`)."""
    if isinstance(files, Names):
        yield from files.left_out
    for name in names:
        if not is_kept(name):
            yield LeftOut(name, next(reason for pattern, reason in _REASONS if pattern.fullmatch(_file(name))))


def is_kept(name: str) -> bool:
    """Whether a file speaks of the dataset, not of its samples.

    >>> is_kept("README.md"), is_kept("train/00000_stats.json"), is_kept("captions.csv"), is_kept("SHA256SUMS")
    (True, True, False, False)
    """
    return bool(_KEPT.fullmatch(_file(name)))


def _file(name: str) -> str:
    return name.rpartition("/")[2]
