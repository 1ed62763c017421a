"""How far pictures lean towards the marks of a family that chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import scipy
from numpy.typing import NDArray

from protect.embed.looks import Glances
from protect.formats.record import Record, normalised
from protect.keys.tree import SlotKey
from protect.marks.family import ChoosingFamily


def leanings_of(
    family: ChoosingFamily,
    glances: Glances,
    records: Callable[[], Iterator[Record]],
    key_of: Callable[[int], SlotKey],
) -> Callable[[int], NDArray[np.float64]]:
    """How far each picture leans towards a slot's mark, blurred as the owner wishes.

    Args:
        family: with its looks.
        glances: at the pictures.
        records: the samples, in the same order.
        key_of: key of each slot of this part.
    """

    def lean(slot: int) -> NDArray[np.float64]:
        key = key_of(slot)
        found = glances.leanings(family.fitted_looks, lambda looks: family.leanings(looks, key.planted))
        if not family.softness:
            return found
        keys = (normalised(record.key) for record in records())
        return found + family.softness * _noise(key, keys, len(found))

    return lean


def _noise(key: SlotKey, names: Iterable[str], count: int) -> NDArray[np.float64]:
    """A standard normal number for each sample, which follows from its own key and not from its place."""
    bits = np.fromiter((key.integer("softness", name) for name in names), np.uint64, count) >> np.uint64(12)
    return np.asarray(scipy.special.ndtri((bits.astype(np.float64) + 0.5) / 2**52))
