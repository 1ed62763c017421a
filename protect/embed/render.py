"""Planting: what changes in a copy, one sample at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from protect.alignments.alignment import Draw
from protect.embed.chosen import Chosen, Turn, chosen_of, depends_on_caption, turns_of
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
    chosen: Chosen
    """Of the whole dataset."""
    reading: ReadOptions
    budget: MemoryBudget
    planted: dict[str, Carrier] = field(default_factory=dict)
    """What was planted in this shard, by normalised key. Where captions lie in another shard, one half of it each."""
    refused: list[SetAside] = field(default_factory=list)
    """Carriers of this shard that could not be written back."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        """A carrier's captions as released (see `Edits.captions`)."""
        turn = self.chosen.turn(key)
        if turn is None:
            return captions
        released = self._placed(key, turn, captions).captions(self.reading.leave_captions)
        self._note(Carrier(key, *turn, sha256="", captions=released, psnr=EQUAL_PSNR, score=0.0))
        return released

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """A carrier's picture with its marks (see `Edits.picture`)."""
        turn = self.chosen.turn(key)
        if turn is None:
            return self._sham(key, read)
        painted = self._placed(key, turn, {"": self.chosen.captions.get(normalised(key), "")}).painted
        if not painted:
            return None
        original = read()
        try:
            with self.budget.hold(pixel_count(original) * max(family.bytes_per_pixel for family, _ in painted)):
                written, quality, score = plant(original, painted, self._placement("placement", key))
        except PictureError as error:  # told to the owner; the others of the shard are not held up
            self.refused.append(SetAside(key, error.what))
            return None
        sha256 = hashlib.sha256(written).hexdigest()
        self._note(Carrier(key, *turn, sha256=sha256, captions={}, psnr=quality, score=score))
        return written

    def _placed(self, key: str, turn: Turn, captions: Mapping[str, str]) -> Placed:
        slots, opposite = (tuple(self.bound.slots[slot] for slot in side) for side in turn)
        return Placed(Record(key, captions, bytes), slots, opposite)

    def _note(self, half: Carrier) -> None:
        key = normalised(half.key)
        self.planted[key] = whole(self.planted.get(key), half)

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
                mark = prf_int(self.bound.release.secret, "sham", normalised(key))
                written = rewrite(data, family.plant(picture, mark, self._placement("sham placement", key)))
                read_rgba(written)
            except PictureError:
                return None
            return written


def whole(known: Carrier | None, half: Carrier) -> Carrier:
    """A carrier from what two shards tell of it: one of its captions, one of its picture."""
    if known is None:
        return half
    text, picture = (known, half) if known.captions else (half, known)
    picture = picture if picture.sha256 else text
    return replace(picture, captions=text.captions)


def carriers_of(bound: BoundRelease, draws: Iterable[Draw], leave: Iterable[str] = ()) -> Chosen:
    """The samples that will change. Words chosen for a first caption do change it, unless its field is left alone."""
    left, turns, captions = tuple(leave), dict[str, Turn](), dict[str, str]()
    for key, (record, (there, back)) in turns_of(bound, draws).items():
        slots = [bound.slots[number] for number in (*there, *back)]
        placed = Placed(record, tuple(slots[: len(there)]), tuple(slots[len(there) :]))
        sure = not left and all(slot.alignment.chooses for slot in slots)
        if sure or placed.painted or placed.captions(left) != dict(record.captions):
            turns[key] = there, back
            if any(map(depends_on_caption, slots)):
                captions[key] = record.caption
    return chosen_of(turns, bound, captions)


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
