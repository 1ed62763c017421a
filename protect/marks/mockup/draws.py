"""What is drawn by a mark's id: named numbers, each independent of all others and of the order of asking."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protect.keys.tree import Ids
from protect.marks.sign_vectors import splitmix64

Floats = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]
Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

_STEP = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Draws:
    """The draws of m marks at once.

    Args:
        marks: ids, shape (m,).
        fixed: choices, by name, that all marks of the law share.
    """

    marks: Ids
    fixed: Mapping[str, int] = field(default_factory=dict)

    def of(self, chosen: NDArray[np.intp] | slice) -> Draws:
        """The draws of some of the marks."""
        return Draws(self.marks[chosen], self.fixed)

    def uniform(self, name: str, low: float = 0, high: float = 1) -> Floats:
        """A number in [low, high) for each mark, shape (m, 1, 1): it stands for all pixels."""
        unit = _unit(self.marks, name)[:, None, None]
        return np.asarray(low + (high - low) * unit, dtype=np.float32)

    def happens(self, name: str, share: float) -> Floats:
        """1 for that share of the marks, 0 for all others, shape (m, 1, 1)."""
        return (self.uniform(name) < share).astype(np.float32)

    def choice(self, name: str, count: int) -> NDArray[np.intp]:
        """One of `count` for each mark, shape (m,)."""
        if name in self.fixed:
            return np.full(len(self.marks), self.fixed[name], dtype=np.intp)
        return np.minimum((_unit(self.marks, name) * count).astype(np.intp), count - 1)

    def colour(self, name: str, palette: Sequence[Colour], light: float = 0.05, tone: float = 0.02) -> Floats:
        """A colour near one of a palette, shape (m, 1, 1, 3).

        Args:
            name: of the draw; the colour of the palette is drawn as a choice of that name.
            palette: the colours.
            light: largest change of all channels together.
            tone: largest change of each channel by itself.
        """
        near = np.array(palette, dtype=np.float32)[self.choice(name, len(palette))]
        change = [self.uniform(f"{name}, channel {c}", -tone, tone)[:, 0, 0] for c in range(3)]
        shade = self.uniform(f"{name}, light", -light, light)[:, 0, 0]
        return np.asarray(np.clip(near + shade[:, None] + np.stack(change, axis=1), 0, 1)[:, None, None])


@cache
def _offset(name: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def _unit(marks: Ids, name: str) -> NDArray[np.float64]:
    """Uniform in [0, 1), shape (m,)."""
    mixed = splitmix64(splitmix64(np.asarray(marks, dtype=np.uint64) + _STEP) + _offset(name))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
