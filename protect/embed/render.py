"""Planting: what changes in a copy, one sample at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from protect.alignments.alignment import Draw
from protect.embed.score import mark_score
from protect.execution.budget import MemoryBudget
from protect.formats.dataset_format import ReadOptions
from protect.formats.record import Record, SetAside, normalised
from protect.formats.splits import split_of
from protect.formats.survey import may_change
from protect.keys.tree import prf_int, prf_rng
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba, rewrite
from protect.release.bound import BoundRelease, BoundSlot
from protect.release.record import Carrier

EQUAL_PSNR = 99.0
"""Decibels that stand for "no difference"."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A sample that will change: which slots it carries, and which slots' other wording it gets."""

    record: Record
    slots: tuple[BoundSlot, ...]
    opposite: tuple[BoundSlot, ...]

    def captions(self, leave: Iterable[str]) -> dict[str, str]:
        """All captions as released, but for the fields that the owner leaves alone.

        Wordings are chosen before triggers are put in, which may stand where a wording is looked for.
        """
        found = dict(self.record.captions)
        turns = [(slot, False) for slot in self.slots] + [(slot, True) for slot in self.opposite]
        for slot, opposite in sorted(turns, key=lambda turn: not turn[0].alignment.chooses):
            found = slot.alignment.align_all(found, slot.questions.trigger, leave, opposite=opposite)
        return found

    @property
    def painted(self) -> tuple[tuple[MarkFamily, BoundSlot], ...]:
        """What changes the picture, in the order of the slots."""
        rows = [(slot.family, slot) for slot in self.slots]
        rows += [(slot.family.opposite(), slot) for slot in self.opposite if isinstance(slot.family, ChoosingFamily)]
        caption = self.record.caption
        return tuple(
            (slot.alignment.for_sample(family, caption, slot.questions.trigger), slot)
            for family, slot in sorted(rows, key=lambda row: row[1].number)
            if not isinstance(family, ChoosingFamily) or family.changes_pictures
        )


@dataclass(frozen=True)
class Planting:
    """The edits of one shard of a release's copy; collects what was planted."""

    bound: BoundRelease
    carriers: Mapping[str, Placed]
    """By normalised key, of the whole dataset."""
    reading: ReadOptions
    budget: MemoryBudget
    planted: dict[str, Carrier] = field(default_factory=dict)
    """What was planted in this shard, by normalised key."""
    refused: list[SetAside] = field(default_factory=list)
    """Carriers of this shard that could not be written back."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        """A carrier's captions as released (see `Edits.captions`)."""
        placed = self.carriers.get(normalised(key))
        return (
            captions
            if placed is None
            else replace(placed, record=replace(placed.record, captions=captions)).captions(self.reading.leave_captions)
        )

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """A carrier's picture with its marks (see `Edits.picture`)."""
        placed = self.carriers.get(normalised(key))
        if placed is None:
            return self._sham(key, read)
        written, sha256, quality, score = None, "", EQUAL_PSNR, 0.0
        if painted := placed.painted:
            original = read()
            try:
                with self.budget.hold(pixel_count(original) * max(family.bytes_per_pixel for family, _ in painted)):
                    written, quality, score = plant(original, painted, self._placement("placement", key))
            except PictureError as error:  # told to the owner; the others of the shard are not held up
                self.refused.append(SetAside(placed.record.key, error.what))
                return None
            sha256 = hashlib.sha256(written).hexdigest()
        self.planted[normalised(key)] = Carrier(
            key=placed.record.key,
            slots=tuple(slot.number for slot in placed.slots),
            opposite=tuple(slot.number for slot in placed.opposite),
            sha256=sha256,
            captions=placed.captions(self.reading.leave_captions),
            psnr=quality,
            score=score,
        )
        return written

    def _placement(self, label: str, key: str) -> np.random.Generator:
        """Everything that is not the mark; the same for all recipients of a dataset."""
        return prf_rng(self.bound.release.secret, label, normalised(key))

    def _sham(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """A picture that is no carrier goes the same way, with a mark that no other picture has."""
        family = next((slot.family for slot in self.bound.slots if slot.family.shams), None)
        if family is None or not may_change(Record(key, {}, read, split_of(key)), self.reading):
            return None
        data = read()
        with self.budget.hold(pixel_count(data) * family.bytes_per_pixel):
            try:
                picture = read_rgba(data)
                if obstacle(data, decoded=True) or family.obstacle(picture):
                    return None
            except PictureError:
                return None
            mark = prf_int(self.bound.release.secret, "sham", normalised(key))
            return rewrite(data, family.plant(picture, mark, self._placement("sham placement", key)))


def carriers_of(bound: BoundRelease, draws: Iterable[Draw], leave: Iterable[str] = ()) -> dict[str, Placed]:
    """The samples that will change, by normalised key."""
    found: dict[str, Placed] = {}
    for slot, draw in zip(bound.slots, draws, strict=True):
        for record, side in (*((r, 1) for r in draw.carriers), *((r, -1) for r in draw.opposite)):
            placed = found.get(normalised(record.key)) or Placed(record, (), ())
            slots, opposite = placed.slots + (slot,) * (side > 0), placed.opposite + (slot,) * (side < 0)
            found[normalised(record.key)] = Placed(record, slots, opposite)
    left = tuple(leave)
    return {key: p for key, p in found.items() if p.painted or p.captions(left) != dict(p.record.captions)}


def plant(
    original: bytes, painted: Sequence[tuple[MarkFamily, BoundSlot]], placement: np.random.Generator
) -> tuple[bytes, float, float]:
    """Plant slots' marks in a picture file and read it back.

    Returns:
        The file's new bytes, its PSNR against the original in decibels, and the first mark's score on it.

    Raises:
        PictureError: if the file cannot be read or written back.
    """
    before = planted = read_rgba(original)
    for family, slot in painted:
        planted = family.plant(planted, slot.planted, placement)
    written = rewrite(original, planted)
    after = read_rgba(written)
    family, slot = painted[0]
    score = mark_score(family, after, before, slot.planted)
    return written, round(min(psnr(on_white(before), on_white(after)), EQUAL_PSNR), 2), score or 0.0
