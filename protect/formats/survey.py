"""One pass over a dataset: what it holds, without keeping it."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np

from protect.errors import InputError
from protect.execution.engine import Engine
from protect.formats.by_shard import read_by_shard, workers_for
from protect.formats.columns import CaptionColumns, column_of
from protect.formats.dataset_format import Dataset, ReadOptions, Shard
from protect.formats.digest import DatasetDigest
from protect.formats.record import TRAIN, Record, SetAside, key_hash, normalised
from protect.formats.splits import canonical
from protect.pixels.captions import EXAMPLES, is_embedded_name
from protect.progress import Progress, no_progress

LISTED = 1000
"""How many set aside samples are named."""
_STEP = 1000
_STAGE = "reading captions"


@dataclass(frozen=True, slots=True)
class Survey:
    """What a dataset holds."""

    samples: int
    """Records; samples set aside are not counted."""
    splits: Mapping[str, int]
    """Records by split."""
    changeable: int
    """Records that the owner's options allow to change."""
    set_aside: int
    first_set_aside: tuple[SetAside, ...]
    """The first 1,000 of them."""
    digest: str
    """See `DatasetDigest`."""
    longest_caption: str
    """The one with the most characters."""
    unused: tuple[str, ...] = ()
    """Options of the owner that fit no sample, as they were given: a misspelt one must not pass for obeyed."""


def may_change(record: Record, options: ReadOptions) -> bool:
    """Whether a sample's split and key are among those that the owner lets change."""
    splits = _splits(options)
    if splits and record.split not in splits:
        return False
    return key_may_change(record.key, options)


@lru_cache(64)
def _splits(options: ReadOptions) -> frozenset[str]:
    """The splits whose samples may be changed; empty for all."""
    splits = frozenset(canonical(split) for split in options.splits)
    return frozenset() if "all" in splits else splits


def key_may_change(key: str, options: ReadOptions) -> bool:
    """Whether a sample's key is among those that the owner lets change, whatever its split."""
    if not (options.only or options.exclude):
        return True
    key = normalised(key)
    if options.only and not any(fnmatchcase(key, normalised(glob)) for glob in options.only):
        return False
    return not any(fnmatchcase(key, normalised(glob)) for glob in options.exclude)


def survey(dataset: Dataset, progress: Progress = no_progress, engine: Engine | None = None) -> Survey:
    """Read a dataset once.

    Memory: 8 bytes a sample, and nothing else that grows.

    Args:
        dataset: the owner's.
        progress: told (stage, done, total).
        engine: what reads shards, if there is much to read.

    Raises:
        InputError: if two samples have one key, naming both places; if `--leave-captions` names no field of any sample,
            listing those that there are.
    """
    workers = None if engine is None else workers_for(dataset, engine)
    found = _read_there(dataset, progress, workers) if workers else _read_here(dataset, progress)
    _refuse_doubles(dataset, found.hashes)
    if found.hashes:
        _refuse_unknown(dataset, found.fields)
    left = tuple(f"{option} {value}" for option, value in sorted(found.unused))
    return Survey(
        samples=len(found.hashes),
        splits=dict(found.splits),
        changeable=found.changeable,
        set_aside=found.set_aside,
        first_set_aside=tuple(found.first_aside),
        digest=found.digest.hexdigest(),
        longest_caption=found.longest,
        unused=left,
    )


def _read_here(dataset: Dataset, progress: Progress) -> _Count:
    count = _Count.of(dataset.options)
    for done, found in enumerate(dataset.scan(), 1):
        count.add(found, dataset.options)
        if done % _STEP == 0:
            progress(_STAGE, done, 0)
    return count


def _read_there(dataset: Dataset, progress: Progress, engine: Engine) -> _Count:
    """The same by workers, a shard each."""
    whole = _Count.of(dataset.options)
    keys = array("Q")
    for count, met in read_by_shard(dataset, engine, _CountOf(dataset)):
        whole.join(count)
        keys += count.aside_hashes
        if dataset.columns is not None:
            dataset.columns.met |= met
        progress(_STAGE, len(whole.hashes) + whole.set_aside, 0)
    keys += whole.hashes
    for aside in dataset.unlisted(np.sort(np.asarray(keys))):
        whole.add(aside, dataset.options)
    return whole


@dataclass(frozen=True, slots=True)
class _CountOf:
    dataset: Dataset

    def __call__(self, shard: Shard) -> tuple[_Count, set[str]]:
        count, columns = _Count.of(self.dataset.options), self.dataset.columns
        for found in shard.scan():
            count.add(found, self.dataset.options, keep=True)
        return count, columns.met if columns is not None else set()


@dataclass(slots=True)
class _Count:
    """What is counted of some shards."""

    unused: set[tuple[str, str]]
    """Options and values that fit nothing yet."""
    hashes: array[int] = field(default_factory=lambda: array("Q"))
    """Of the records' keys."""
    aside_hashes: array[int] = field(default_factory=lambda: array("Q"))
    splits: Counter[str] = field(default_factory=Counter)
    changeable: int = 0
    set_aside: int = 0
    first_aside: list[SetAside] = field(default_factory=list)
    digest: DatasetDigest = field(default_factory=DatasetDigest)
    longest: str = ""
    fields: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, options: ReadOptions) -> _Count:
        """Nothing yet."""
        return cls(_said(options))

    def add(self, found: Record | SetAside, options: ReadOptions, *, keep: bool = False) -> None:
        """Take in a sample; keep the hash of one that is set aside, if so told."""
        if isinstance(found, SetAside):
            self.set_aside += 1
            self.first_aside += [found] if len(self.first_aside) < LISTED else []
            self.aside_hashes.extend([key_hash(found.key)] if keep else [])
            return
        self.splits[found.split] += 1
        self.changeable += may_change(found, options)
        self.digest.add(found)
        self.hashes.append(key_hash(found.key))
        if not found.captions.keys() <= self.fields.keys():
            self.fields.update(dict.fromkeys(found.captions))
        if self.unused:
            self.unused -= {said for said in self.unused if _fits(said, found)}
        self.longest = max(self.longest, *found.captions.values(), key=len)

    def join(self, other: _Count) -> None:
        """Take in what was counted of the shards that follow."""
        self.unused &= other.unused
        self.hashes += other.hashes
        self.splits += other.splits
        self.changeable += other.changeable
        self.set_aside += other.set_aside
        self.first_aside += other.first_aside[: LISTED - len(self.first_aside)]
        self.digest = DatasetDigest(self.digest.lanes + other.digest.lanes)
        self.longest = max(self.longest, other.longest, key=len)
        self.fields.update(other.fields)


def _said(options: ReadOptions) -> set[tuple[str, str]]:
    """Options and values that must fit some sample."""
    said = {"--only": options.only, "--exclude": options.exclude}
    splits = {("--split", split) for split in options.splits if split != "all" and options.splits != (TRAIN,)}
    return {(option, value) for option, values in said.items() for value in values} | splits


def _fits(said: tuple[str, str], record: Record) -> bool:
    option, value = said
    if option == "--split":
        return record.split == canonical(value)
    return fnmatchcase(normalised(record.key), normalised(value))


def _refuse_unknown(dataset: Dataset, fields: Mapping[str, None]) -> None:
    """Refuse names of fields that stay as they are if nothing is called so."""
    columns = dataset.columns or CaptionColumns(dataset.options)
    unmet = [name for name in columns.unmet(fields) if not is_embedded_name(name)]
    if unmet:
        listed = ", ".join(dict.fromkeys([*map(column_of, fields), *sorted(columns.met)]))
        raise InputError(
            f"--leave-captions {unmet[0]} names no field of {dataset.root}; its text fields: {listed}",
            f"Mend the name. Texts inside picture files are called {', '.join(EXAMPLES)} and the like.",
        )


def _refuse_doubles(dataset: Dataset, hashes: array[int]) -> None:
    numbers = np.sort(np.asarray(hashes))
    doubled = {int(number) for number in numbers[:-1][numbers[1:] == numbers[:-1]]}
    first: dict[str, Record] = {}
    for record in _with_hash(dataset, doubled):
        other = first.setdefault(normalised(record.key), record)
        if other is record:
            continue
        if other.key == record.key:
            places = f": {other.where} and {record.where}"
        else:  # they look alike, and so may their places: letters beyond ASCII are spelt out
            places = f", in two Unicode spellings: {_spelt_out(other)} and {_spelt_out(record)}"
        raise InputError(f"two samples are called {record.key!r}{places}", "Rename or remove one.")


def _spelt_out(record: Record) -> str:
    place = f" ({record.where})" if record.where and record.where != record.key else ""
    return ascii(record.key) + place


def _with_hash(dataset: Dataset, hashes: set[int]) -> Iterator[Record]:
    return (record for record in dataset.records() if key_hash(record.key) in hashes) if hashes else iter(())
