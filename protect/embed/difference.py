"""`protect diff`: what anyone can see between two copies of a dataset. No secret takes part."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from protect.execution.engine import Engine, Threads, batches
from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, normalised
from protect.formats.walk import walk
from protect.progress import Progress, no_progress

SHOWN = 1_000
"""Most samples and files that are listed by name."""
_BATCH, _TO_READ = 64, 2e-9
"""Samples that a worker reads in one go; seconds for each byte."""


@dataclass(frozen=True, slots=True)
class SampleChange:
    """A sample that differs between two copies."""

    key: str
    picture: bool
    """Whether the picture file's bytes differ."""
    sizes: tuple[int, int]
    """Bytes of the two picture files."""
    captions: tuple[tuple[str, str, str], ...]
    """Field and both texts, of captions that differ."""


@dataclass(frozen=True, slots=True)
class Difference:
    """All that two copies show about each other."""

    samples: int
    """Samples in both."""
    changes: tuple[SampleChange, ...]
    only_first: tuple[str, ...]
    """Keys of samples, in one copy only."""
    only_second: tuple[str, ...]
    files_only_first: tuple[str, ...]
    """Files, in one copy only; none are listed where the forms differ."""
    files_only_second: tuple[str, ...]
    forms: tuple[str, str]
    """Of the two copies: where they differ, files do too, and samples alone are compared."""

    @property
    def pictures(self) -> int:
        """Samples whose pictures differ."""
        return sum(change.picture for change in self.changes)

    @property
    def captions(self) -> int:
        """Samples whose captions differ."""
        return sum(bool(change.captions) for change in self.changes)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of a sample of the first copy."""

    key: str
    captions: dict[str, str]
    digest: bytes
    size: int


def difference(
    first: Dataset, second: Dataset, progress: Progress = no_progress, engine: Engine | None = None
) -> Difference:
    """Compare two copies sample by sample; reads every picture of both.

    Args:
        first: a copy, such as the original.
        second: another, such as the protected copy.
        progress: told (stage, done, total).
        engine: what reads; threads if not given.
    """
    forms = _form(first), _form(second)
    alike = forms[0] == forms[1]
    engine = (engine or Threads()).worthwhile(_TO_READ * (first.size + second.size))
    ours = {normalised(seen.key): seen for seen in _seen(first, "reading the first", progress, engine)}
    changes, only_second, both = [], [], 0
    for theirs in _seen(second, "reading the second", progress, engine):
        mine = ours.pop(normalised(theirs.key), None)
        if mine is None:
            only_second.append(theirs.key)
            continue
        both += 1
        if change := _change(mine, theirs if alike else _with_field_of(mine, theirs)):
            changes.append(change)
    files = (_files(first.root), _files(second.root)) if alike else (set(), set())
    return Difference(
        samples=both,
        changes=tuple(changes),
        only_first=tuple(seen.key for seen in ours.values()),
        only_second=tuple(only_second),
        files_only_first=tuple(sorted(files[0] - files[1])),
        files_only_second=tuple(sorted(files[1] - files[0])),
        forms=forms,
    )


def _seen(dataset: Dataset, stage: str, progress: Progress, engine: Engine) -> Iterable[_Seen]:
    done = 0
    for some in engine.map(_look_at_all, batches(dataset.records(), _BATCH)):
        done += len(some)
        progress(stage, done, 0)
        yield from some


def _look_at_all(records: Sequence[Record]) -> list[_Seen]:
    return [_look(record) for record in records]


def _look(record: Record) -> _Seen:
    data = record.read()
    return _Seen(record.key, dict(record.captions), hashlib.sha256(data).digest(), len(data))


def _change(mine: _Seen, theirs: _Seen) -> SampleChange | None:
    fields = [*mine.captions, *(name for name in theirs.captions if name not in mine.captions)]
    pairs = ((name, mine.captions.get(name, ""), theirs.captions.get(name, "")) for name in fields)
    captions = tuple(pair for pair in pairs if pair[1] != pair[2])
    if mine.digest == theirs.digest and not captions:
        return None
    return SampleChange(mine.key, mine.digest != theirs.digest, (mine.size, theirs.size), captions)


def _with_field_of(mine: _Seen, theirs: _Seen) -> _Seen:
    """Theirs with its caption in the field of mine, if each has one: forms call their fields differently."""
    if len(mine.captions) != 1 or len(theirs.captions) != 1:
        return theirs
    return replace(theirs, captions=dict(zip(mine.captions, theirs.captions.values(), strict=True)))


def _form(dataset: Dataset) -> str:
    return f"{dataset.format} in a {'folder' if dataset.root.is_dir() else 'file'}"


def _files(root: Path) -> set[str]:
    return {normalised(name) for name in walk(root)} if root.is_dir() else set()
