"""A tracing code over slots (Tardos 2003): which of a slot's two marks is planted in which recipient's copy.

Every slot has two marks and a secret bias t. A recipient's copy carries mark 1 with probability t and mark 0 otherwise,
independently in all slots and for all recipients; nothing is ever drawn again. So what a sample looks like depends on
the slot and its bit alone: recipients who compare their copies see only the slots in which their bits differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.keys.tree import Ids, KeyTree, recipients_draws, slot_seed

CUTOFF = 0.01
"""Biases keep away from 0 and 1 by so much: rarer bits would make single slots decide everything."""
TWINS = 0.05
"""Chance that is allowed for any two of all recipients to share all their bits."""
_RANGE = 2**64

Bits = NDArray[np.uint8]
Array = NDArray[np.float64]


def arcsine_bias(uniform: Array, cutoff: float = CUTOFF) -> Array:
    """Biases from numbers uniform in [0, 1): the arcsine law between `cutoff` and 1 - `cutoff`; same shape.

    >>> arcsine_bias(np.array([0.0, 0.5])).round(6).tolist()
    [0.01, 0.5]
    """
    least = np.arcsin(np.sqrt(cutoff))
    return np.asarray(np.sin(least + uniform * (np.pi / 2 - 2 * least)) ** 2)


def alike(cutoff: float = CUTOFF) -> float:
    """Chance that two recipients share the bit of a slot: the mean of t² + (1 - t)² over the biases.

    With t = sin²θ this is 1 - sin²(2θ) / 2, and θ is uniform between the arcsines of the cutoffs' roots.

    >>> round(alike(), 4)
    0.7144
    """
    least = math.asin(math.sqrt(cutoff))
    return 1 - (1 / 2 + math.sin(4 * least) / (4 * (math.pi / 2 - 2 * least))) / 2


def most_recipients(slots: int) -> int:
    """How many recipients a code of so many slots tells apart; at least 1.

    N recipients are N (N - 1) / 2 pairs, and each shares all K bits with chance `alike` to the power of K, over the
    drawing of the key. So `TWINS` bounds the chance that any two do (the union, or birthday, bound).

    >>> [most_recipients(slots) for slots in (6, 11, 24, 48)]
    [1, 2, 18, 1012]
    """
    pairs = TWINS / alike() ** slots
    return math.floor((1 + math.sqrt(1 + 8 * pairs)) / 2)


@dataclass(frozen=True, slots=True)
class TracingCode:
    """The code of a release."""

    secret: bytes
    coin: str
    slots: int

    @property
    def bias(self) -> Array:
        """Probability of bit 1 in each slot, shape (slots,)."""
        keys = KeyTree(self.secret, self.coin)
        return arcsine_bias(np.array([keys.slot(k).integer("bias") / _RANGE for k in range(self.slots)]))

    def bits(self, slot: int, serials: range) -> Bits:
        """Each recipient's bit in a slot, shape (len(serials),)."""
        drawn = recipients_draws(slot_seed(self.secret, slot), self.coin, serials, "use", "code")
        return np.asarray(drawn / _RANGE < self.bias[slot], dtype=np.uint8)

    def marks(self, slot: int) -> Ids:
        """Ids of a slot's two marks, shape (2,)."""
        key = KeyTree(self.secret, self.coin).slot(slot)
        return np.array([key.integer("code mark", bit) for bit in (0, 1)], dtype=np.uint64)
