"""How like a mock-up some pictures are: what is seen around the owner's picture, wave by wave.

Each wave of the outputs is taken in units of its own size over the outputs, then through tanh, so that a few waves that
are strong in any picture do not outvote the many that a model paints faintly (docs/decisions/0011). Each wave of a
mock-up is taken in units of its size over the law, for the same reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from protect.marks.family import Array, Pixels
from protect.marks.mockup.draws import Draws, Floats
from protect.marks.mockup.place import Place
from protect.marks.mockup.render import small_scenes
from protect.marks.sign_vectors import OPPONENT, SCORE_DECIMALS, cosines, mean_direction, small_unit, squashed

SIDE = 24
"""Of the small pictures that are compared."""
_FINEST = 16
"""Half periods of the finest wave that is looked at; beyond are edges that no model repeats at the same pixel."""
_LAW = 1024
"""Mock-ups, of fixed ids, that say how large each wave is."""
_BLOCK = 512
"""Mock-ups painted at a time: some 30 MB."""


def likeness(outputs: Pixels, draws: Draws, place: Place | None) -> Array:
    """Cosine between what outputs (n, H, W, 3) share and each mock-up, shape (m,); 0 for outputs of one colour.

    The better one of the outputs as they are and mirrored, for every mark. In a place of the owner's own, what all its
    mock-ups share is taken off both.
    """
    small = small_unit(outputs, SIDE)
    colour = small.mean(axis=(0, 1, 2))
    usual = 0 if place is None else _law(place).usual(colour)
    mirrored = np.stack([np.ones_like(_mirrored()), _mirrored()])
    found = _waves(small - colour) / _law(place).sizes
    views = np.stack([_shared(small, found * view - usual) for view in mirrored], axis=1)
    scores = np.concatenate([_cosines(around - usual, views) for around in _around(draws, colour, place)])
    return np.asarray(np.round(scores, SCORE_DECIMALS))


def _shared(small: Array, found: Array) -> Array:
    """What outputs share, shape (d,), from small outputs and their waves (n, d); a refusal says nothing."""
    flat = small.max(axis=(1, 2, 3)) - small.min(axis=(1, 2, 3)) < 1e-9
    return mean_direction(squashed(np.where(flat[:, None], 0, found)))


def _cosines(around: Array, views: Array) -> Array:
    return np.asarray((around @ views).max(axis=1) / np.maximum(np.linalg.norm(around, axis=1), 1e-9))


def _around(draws: Draws, colour: Array, place: Place | None) -> Iterator[Array]:
    """Waves of mock-ups without the owner's picture, in units of their size, some at a time; shape (m, d)."""
    for scenes, hidden in _painted(draws, place):
        yield _waves(_without(scenes, hidden, colour)) / _law(place).sizes


def _painted(draws: Draws, place: Place | None) -> Iterator[tuple[Floats, Floats]]:
    for start in range(0, len(draws.marks), _BLOCK):
        yield small_scenes(draws.of(slice(start, start + _BLOCK)), SIDE, place)


def _without(scenes: Floats, hidden: Floats, colour: Array) -> Array:
    return np.asarray((1 - hidden.astype(np.float64))[..., None] * (scenes - colour))


def _waves(pictures: Array) -> Array:
    """Low cosine waves of square pictures (n, SIDE, SIDE, 3) in three colour channels, shape (n, d)."""
    lines = cosines(SIDE, _FINEST)
    planes = np.moveaxis(pictures @ OPPONENT.T, 3, 1)
    return np.asarray((lines @ planes @ lines.T)[:, :, _low()].reshape(len(pictures), -1))


@cache
def _low() -> NDArray[np.bool_]:
    """Which waves (vertical, horizontal) are compared, shape (_FINEST, _FINEST)."""
    return np.hypot(*np.indices((_FINEST, _FINEST))) < _FINEST


@cache
def _mirrored() -> Array:
    """What mirroring does to waves: odd horizontal ones change their signs; shape (d,)."""
    across = np.broadcast_to((-1.0) ** np.arange(_FINEST), (3, _FINEST, _FINEST))
    return across[:, _low()].ravel()


@dataclass(frozen=True, slots=True)
class _Law:
    """What many mock-ups are like: a function of the place alone."""

    sizes: Array
    """Standard deviation of each wave over the law without any description, shape (d,)."""
    seen: Array
    """Mean of what is seen around the owner's picture, shape (SIDE, SIDE, 3)."""
    around: Array
    """How much of each pixel is, shape (SIDE, SIDE)."""

    def usual(self, colour: Array) -> Array:
        """Waves of the mean mock-up, less a colour, in units of their size; shape (d,)."""
        return np.asarray(_waves((self.seen - self.around[..., None] * colour)[None])[0] / self.sizes)


@cache
def _law(place: Place | None) -> _Law:
    painted = list(_painted(Draws(np.arange(_LAW, dtype=np.uint64)), place))
    scenes, hidden = (np.concatenate(parts) for parts in zip(*painted, strict=True))
    found = _waves(_without(scenes, hidden, np.full(3, 0.5)))
    seen = _without(scenes, hidden, np.zeros(3)).mean(axis=0)
    return _Law(np.maximum(found.std(axis=0), 1e-6), seen, 1 - hidden.mean(axis=0, dtype=np.float64))
