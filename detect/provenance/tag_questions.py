"""What a slot asks a classifier: pictures of the unmarked dataset, each with and without the slot's mark.

They are drawn by the slot's key from the whole dataset without regard to classes. Carriers are not left out: that would
leave fewer pictures of the drawn class, and tell it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from detect.pictures import picture_of
from detect.suspects.classifiers.answers import write_queries
from detect.trial.judge import check_testable
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, Dataset, ReadOptions
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record, SetAside, normalised
from protect.formats.survey import may_change
from protect.marks.family import MarkFamily, Pixels
from protect.pixels.measure import on_white, picture_at
from protect.release.bound import BoundRelease, BoundSlot

_SPARE = 32
"""Candidates held ready besides twice the number wanted: some cannot be read, or cannot carry a mark."""


@dataclass(frozen=True, slots=True)
class Original:
    """The dataset that was marked, as it was before."""

    dataset: Dataset
    classes: tuple[str, ...]
    """Those that the key could draw, sorted."""
    digest: str
    """As releases commit to it."""

    def changeable(self) -> Iterator[Record]:
        """Samples that could have been marked."""
        return (record for record in self.dataset.records() if may_change(record, self.dataset.options))


@dataclass(frozen=True, slots=True)
class TagQuestions:
    """The same pictures with and without the mark, RGB (n, side, side, 3)."""

    marked: Pixels
    plain: Pixels
    set_aside: tuple[SetAside, ...]
    """Samples whose turn it was and that could not be used; found out without looking at the mark."""


def open_original(folder: Path, reading: ReadOptions = AS_IT_IS) -> Original:
    """Read a dataset's keys and classes.

    Args:
        folder: the class folders that were marked, as they were before.
        reading: what the owner said about them when they were marked.

    Raises:
        InputError: if it is no dataset.
    """
    dataset, digest, classes = open_dataset(folder, reading), DatasetDigest(), set[str]()
    for record in dataset.records():
        digest.add(record)
        if may_change(record, dataset.options):
            classes.add(record.caption)
    return Original(dataset, tuple(sorted(classes)), digest.hexdigest())


def all_questions(bound: BoundRelease, original: Original) -> list[TagQuestions]:
    """The pictures of every slot.

    Args:
        bound: made with `--alignment label`.
        original: the dataset that was marked.

    Raises:
        InputError: if release and dataset do not belong together (`check_original`), or no picture can be used.
    """
    check_original(bound, original)
    return [_slot_questions(slot, original, bound.release.plan.queries) for slot in bound.slots]


def check_original(bound: BoundRelease, original: Original) -> None:
    """Refuse questions that the key did not mean.

    Raises:
        InputError: if the release may not be tested or is of another kind, or the dataset is not the one. The marked
            copy has the same names and classes, and its carriers would tell the drawn class.
    """
    release, root = bound.release, original.dataset.root
    if not bound.for_classifiers:
        raise InputError(f"release {release.name} is for text-to-image models", "Use: detect run")
    check_testable(release)
    if original.digest != release.plan.dataset:
        raise InputError(f"{root} is not the dataset of release {release.name}", "Give the unmarked original.")
    if len(original.classes) != release.plan.decoys + 1:
        raise InputError(
            f"the key drew among {release.plan.decoys + 1} classes, and {len(original.classes)} can be marked now",
            "Give the same --split, --only and --exclude as when it was embedded.",
        )
    released = {normalised(carrier.key): carrier.sha256 for carrier in release.carriers}
    for record in original.dataset.records():
        sha = released.get(normalised(record.key))
        if sha is not None and sha256(record.read()).hexdigest() == sha:
            raise InputError(f"{root} is the marked copy of release {release.name}", "Give the unmarked original.")


def written_questions(
    folder: Path, releases: Sequence[BoundRelease], original: Original
) -> tuple[int, tuple[SetAside, ...]]:
    """Write all pictures that releases ask about, for somebody else to put to a black box.

    Returns:
        How many pictures, and the samples that were to be asked about and cannot be.
    """
    asked = [question for bound in releases for question in all_questions(bound, original)]
    pictures = [p for q in asked for part in (q.marked, q.plain) for p in part]
    return write_queries(folder, pictures, original.classes), all_set_aside(asked)


def all_set_aside(asked: Sequence[TagQuestions]) -> tuple[SetAside, ...]:
    """Every sample that was set aside, once."""
    return tuple(dict.fromkeys(one for question in asked for one in question.set_aside))


def _slot_questions(slot: BoundSlot, original: Original, wanted: int) -> TagQuestions:
    held = 2 * wanted + _SPARE
    while True:
        ranked = ((slot.key.integer("probe", key := normalised(r.key)), key, r) for r in original.changeable())
        nearest = heapq.nsmallest(held, ranked, key=lambda row: row[:2])
        usable, set_aside = _usable([record for *_, record in nearest], wanted, slot.family)
        if len(usable) == wanted or len(nearest) < held:
            break
        held *= 4
    if not usable:
        reason = f" ({set_aside[0].key}: {set_aside[0].reason})" if set_aside else ""
        raise InputError(f"no picture of {original.dataset.root} can be asked about{reason}", "Restore the original.")
    marked = [slot.family.plant(picture, slot.planted, slot.key.rng("probe placement", key)) for key, picture in usable]
    side = int(np.median([max(picture.shape[:2]) for _, picture in usable]))
    return TagQuestions(_stacked(marked, side), _stacked([picture for _, picture in usable], side), tuple(set_aside))


def _usable(
    records: Sequence[Record], wanted: int, family: MarkFamily
) -> tuple[list[tuple[str, Pixels]], list[SetAside]]:
    """The first pictures, RGBA, that can be read and carry a mark of this family, with their keys."""
    usable, set_aside = list[tuple[str, Pixels]](), list[SetAside]()
    for record in records:
        if len(usable) == wanted:
            break
        picture = picture_of(record)
        if isinstance(picture, SetAside):
            set_aside.append(picture)
        elif reason := family.obstacle(picture):
            set_aside.append(SetAside(record.key, reason))
        else:
            usable.append((normalised(record.key), picture))
    return usable, set_aside


def _stacked(pictures: Sequence[Pixels], side: int) -> Pixels:
    """RGBA pictures on white, at one size, shape (n, side, side, 3)."""
    return np.stack([picture_at(on_white(p), side) for p in pictures])
