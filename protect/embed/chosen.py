"""Which samples change, in little memory: every worker that writes gets all of it."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from protect.alignments.alignment import Alignment, Draw
from protect.formats.record import Record, key_hash, normalised
from protect.marks.family import ChoosingFamily
from protect.release.bound import BoundRelease, BoundSlot

Turn = tuple[tuple[int, ...], tuple[int, ...]]
"""Slots that a sample carries, and slots whose other wording it gets."""
_NONE: Turn = ((), ())


@dataclass(frozen=True)
class Chosen:
    """The samples that change, by hashes of their normalised keys: 12 bytes each."""

    hashes: array[int]
    """In ascending order."""
    numbers: array[int]
    """For each, which of the turns."""
    turns: tuple[Turn, ...]
    painting: tuple[bool, ...]
    """For each turn, whether it changes the picture."""
    captions: Mapping[str, str] = field(default_factory=dict, repr=False)
    """First captions by normalised key, of those whose marks depend on them: pictures may lie in another shard."""

    def __len__(self) -> int:
        return len(self.hashes)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._place(key) is not None

    def turn(self, key: str) -> Turn | None:
        """What a sample carries; None if it does not change."""
        place = self._place(key)
        return None if place is None else self.turns[self.numbers[place]]

    def paints(self, key: str) -> bool:
        """Whether a sample's picture changes."""
        place = self._place(key)
        return place is not None and self.painting[self.numbers[place]]

    @property
    def painted(self) -> int:
        """Samples whose pictures change."""
        counts = np.bincount(np.asarray(self.numbers, dtype=np.int64), minlength=len(self.turns))
        return int(sum(count for count, paints in zip(counts.tolist(), self.painting, strict=True) if paints))

    @property
    def slots(self) -> set[int]:
        """Slots for which anything changes."""
        return {slot for there, back in self.turns for slot in (*there, *back)}

    def without(self, keys: Iterable[str]) -> Chosen:
        """The same but for some samples."""
        gone = {key_hash(key) for key in keys}
        kept = [i for i, value in enumerate(self.hashes) if value not in gone]
        hashes, numbers = (array(old.typecode, (old[i] for i in kept)) for old in (self.hashes, self.numbers))
        return Chosen(hashes, numbers, self.turns, self.painting, self.captions)

    def _place(self, key: str) -> int | None:
        value = key_hash(key)
        place = bisect_left(self.hashes, value)
        return place if place < len(self.hashes) and self.hashes[place] == value else None


def chosen_of(turns: Mapping[str, Turn], bound: BoundRelease, captions: Mapping[str, str]) -> Chosen:
    """The samples that change.

    Args:
        turns: by key.
        bound: the release.
        captions: see `Chosen.captions`.
    """
    known: dict[Turn, int] = {}
    rows = sorted((key_hash(key), known.setdefault(turn, len(known))) for key, turn in turns.items())
    painting = tuple(any(paints(bound.slots[slot]) for slot in (*there, *back)) for there, back in known)
    return Chosen(array("Q", (h for h, _ in rows)), array("I", (n for _, n in rows)), tuple(known), painting, captions)


def turns_of(bound: BoundRelease, draws: Iterable[Draw]) -> dict[str, tuple[Record, Turn]]:
    """What was drawn, by normalised key."""
    found: dict[str, tuple[Record, Turn]] = {}
    for slot, draw in zip(bound.slots, draws, strict=True):
        for records, side in ((draw.carriers, 0), (draw.opposite, 1)):
            for record in records:
                key = normalised(record.key)
                _, (there, back) = found.get(key, (record, _NONE))
                new = (there, (*back, slot.number)) if side else ((*there, slot.number), back)
                found[key] = record, new
    return found


def paints(slot: BoundSlot) -> bool:
    """Whether a slot's family changes pictures."""
    return not isinstance(slot.family, ChoosingFamily) or slot.family.changes_pictures


def depends_on_caption(slot: BoundSlot) -> bool:
    """Whether the mark of a picture depends on its caption."""
    return type(slot.alignment).for_sample is not Alignment.for_sample
