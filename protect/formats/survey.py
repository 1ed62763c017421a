"""One pass over a dataset: what it holds, without keeping it."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

import numpy as np

from protect.errors import InputError
from protect.formats.columns import CaptionColumns, column_of
from protect.formats.dataset_format import Dataset, ReadOptions
from protect.formats.digest import DatasetDigest
from protect.formats.record import TRAIN, Record, SetAside, normalised
from protect.formats.splits import canonical
from protect.pixels.captions import EXAMPLES, is_embedded_name
from protect.progress import Progress, no_progress

LISTED = 1000
"""How many set aside samples are named."""
_STEP = 1000


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


def survey(dataset: Dataset, progress: Progress = no_progress) -> Survey:
    """Read a dataset once.

    Memory: 8 bytes a sample, and nothing else that grows.

    Raises:
        InputError: if two samples have one key, naming both places; if `--leave-captions` names no field of any sample,
            listing those that there are.
    """
    splits: Counter[str] = Counter()
    hashes, digest, aside = array("Q"), DatasetDigest(), list[SetAside]()
    changeable = set_aside = 0
    longest = ""
    unused = _said(dataset.options)
    fields: dict[str, None] = {}
    for done, found in enumerate(dataset.scan(), 1):
        if isinstance(found, Record):
            splits[found.split] += 1
            changeable += may_change(found, dataset.options)
            digest.add(found)
            hashes.append(_hash(found.key))
            if not found.captions.keys() <= fields.keys():
                fields.update(dict.fromkeys(found.captions))
            if unused:
                unused -= {said for said in unused if _fits(said, found)}
            longest = max(longest, *found.captions.values(), key=len)
        else:
            set_aside += 1
            aside += [found] if len(aside) < LISTED else []
        if done % _STEP == 0:
            progress("reading captions", done, 0)
    _refuse_doubles(dataset, hashes)
    if hashes:
        _refuse_unknown(dataset, fields)
    left = tuple(f"{option} {value}" for option, value in sorted(unused))
    return Survey(len(hashes), dict(splits), changeable, set_aside, tuple(aside), digest.hexdigest(), longest, left)


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


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(normalised(key).encode(), digest_size=8).digest(), "little")


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
    return (record for record in dataset.records() if _hash(record.key) in hashes) if hashes else iter(())
