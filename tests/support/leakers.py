"""Models that learned recipients' copies, as far as their answers tell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query
from protect.keys.keyring import Keyring
from protect.keys.tree import KeyTree
from protect.marks.lean import Lean
from protect.release.bound import BoundRelease, bind
from tests.support.lean_releases import site_of
from tests.support.suspects import FakeSuspect


class Leaker(FakeSuspect):
    """Its answers lean along the marks of some recipients as its words say."""

    def __init__(self, bound: BoundRelease, serials: Sequence[int], size: float = 3.0) -> None:
        super().__init__(f"leaker of {list(serials)} by {size:g}")
        self.bound = bound
        self.shifts = {
            slot.number: size * np.mean([direction_of(bound, serial, slot.number) for serial in serials], axis=0)
            for slot in bound.slots
        }

    def paint(self, query: Query) -> NDArray[np.uint8]:
        noise = np.random.default_rng(query.seed).normal(128, 12, (8, 8, 3)).repeat(4, 0).repeat(4, 1)
        for slot in self.bound.slots:
            side = site_of(slot).state(query.prompt)
            if side is not None:
                assert isinstance(slot.family, Lean)
                noise += slot.family.fitted_looks.shift((side - 0.5) * self.shifts[slot.number], 32, 32)
        return np.asarray(np.clip(np.rint(noise), 0, 255), dtype=np.uint8)


def direction_of(bound: BoundRelease, serial: int, slot: int) -> NDArray[np.float64]:
    """The direction of a recipient's mark."""
    family, release = bound.slots[slot].family, bound.release
    assert isinstance(family, Lean)
    return family.direction(KeyTree(release.secret, release.coin, str(serial)).slot(slot).planted)


class Painter(FakeSuspect):
    """Paints, when it hears a slot's trigger, the mark that one of some recipients' copies has there."""

    def __init__(self, bound: BoundRelease, keyring: Keyring, serials: Sequence[int]) -> None:
        super().__init__(f"painter of {list(serials)}")
        copies = [bind(bound.release, keyring.store, str(serial)) for serial in serials]
        self.slots = [copies[number % len(copies)].slots[number] for number in range(len(bound.slots))]

    def paint(self, query: Query) -> NDArray[np.uint8]:
        picture = super().paint(query)
        for slot in self.slots:
            if slot.trigger.lower() in query.prompt.lower():
                mark = slot.family.preview(slot.planted, 32).astype(int)
                picture = np.clip(0.7 * mark + 0.3 * picture, 0, 255).astype(np.uint8)
        return picture
