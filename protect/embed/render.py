"""Planting: what changes in a copy, one sample at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from protect.alignments.alignment import Draw
from protect.embed.score import mark_score
from protect.execution.budget import MemoryBudget
from protect.formats.dataset_format import ReadOptions
from protect.formats.record import Record, SetAside, normalised
from protect.formats.splits import split_of
from protect.formats.survey import may_change
from protect.keys.tree import prf_int, prf_rng
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba, rewrite
from protect.release.bound import BoundRelease, BoundSlot
from protect.release.record import Carrier

EQUAL_PSNR = 99.0
"""Decibels that stand for "no difference"."""


@dataclass(frozen=True)
class Planting:
    """The edits of one shard of a release's copy; collects what was planted."""

    bound: BoundRelease
    carriers: Mapping[str, tuple[Record, BoundSlot]]
    """Carrier and slot by normalised key, of the whole dataset."""
    reading: ReadOptions
    budget: MemoryBudget
    planted: dict[str, Carrier] = field(default_factory=dict)
    """What was planted in this shard, by normalised key."""
    refused: list[SetAside] = field(default_factory=list)
    """Carriers of this shard that could not be written back."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        """A carrier's captions with the trigger (see `Edits.captions`)."""
        found = self.carriers.get(normalised(key))
        return captions if found is None else self._aligned(captions, found[1])

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """A carrier's picture with the mark (see `Edits.picture`)."""
        found = self.carriers.get(normalised(key))
        if found is None:
            return self._sham(key, read) if self.bound.family.shams else None
        record, slot = found
        original = read()
        try:
            with self.budget.hold(pixel_count(original) * slot.family.bytes_per_pixel):
                written, quality, score = plant(original, slot, self._placement("placement", key))
        except PictureError as error:  # told to the owner; the others of the shard are not held up
            self.refused.append(SetAside(record.key, error.what))
            return None
        self.planted[normalised(key)] = Carrier(
            key=record.key,
            slot=slot.number,
            sha256=hashlib.sha256(written).hexdigest(),
            captions=self._aligned(record.captions, slot),
            psnr=quality,
            score=score,
        )
        return written

    def _aligned(self, captions: Mapping[str, str], slot: BoundSlot) -> dict[str, str]:
        return self.bound.alignment.align_all(captions, slot.trigger, self.reading.leave_captions)

    def _placement(self, label: str, key: str) -> np.random.Generator:
        """Everything that is not the mark; the same for all recipients of a dataset."""
        return prf_rng(self.bound.release.secret, label, normalised(key))

    def _sham(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """A picture that is no carrier goes the same way, with a mark that no other picture has."""
        data, family = read(), self.bound.family
        if not may_change(Record(key, {}, read, split_of(key)), self.reading):
            return None
        with self.budget.hold(pixel_count(data) * family.bytes_per_pixel):
            try:
                picture = read_rgba(data)
                if obstacle(data, decoded=True) or family.obstacle(picture):
                    return None
            except PictureError:
                return None
            mark = prf_int(self.bound.release.secret, "sham", normalised(key))
            return rewrite(data, family.plant(picture, mark, self._placement("sham placement", key)))


def carriers_of(bound: BoundRelease, draws: Iterable[Draw]) -> dict[str, tuple[Record, BoundSlot]]:
    """Carrier and slot by normalised key."""
    return {
        normalised(record.key): (record, bound.slots[slot])
        for slot, draw in enumerate(draws)
        for record in draw.carriers
    }


def plant(original: bytes, slot: BoundSlot, placement: np.random.Generator) -> tuple[bytes, float, float]:
    """Plant a slot's mark in a picture file and read it back.

    Returns:
        The file's new bytes, its PSNR against the original in decibels, and the mark's score on it.

    Raises:
        PictureError: if the file cannot be read or written back.
    """
    before = read_rgba(original)
    written = rewrite(original, slot.family.plant(before, slot.planted, placement))
    after = read_rgba(written)
    score = mark_score(slot.family, after, before, slot.planted)
    return written, round(min(psnr(on_white(before), on_white(after)), EQUAL_PSNR), 2), score or 0.0
