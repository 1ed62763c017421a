"""How like a mock-up some pictures are: what is seen around the owner's picture, wave by wave.

Each wave is taken in units of its size over the law, then each of the outputs in units of its size over the outputs and
through tanh, so that a few waves that are strong in any picture do not outvote the many that a model paints faintly
(docs/decisions/0011). What is small beside the law is not blown up: it is what scaling a picture leaves.
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
from protect.marks.sign_vectors import OPPONENT, SCORE_DECIMALS, cosines, mean_direction, small_unit

SIDE = 24
"""Of the small pictures that are compared."""
_FINEST = 16
"""Half periods of the finest wave that is looked at; beyond are edges that no model repeats at the same pixel."""
_LAW = 1024
"""Mock-ups, of fixed ids, that say how large each wave is."""
_FLOOR = 0.05
"""Least size of a wave, at unit norm: pictures that are scaled otherwise differ by so much."""
_FINER = 3
"""Pixels to a side of each pixel of a place of the owner's own: its mock-ups differ in little but thin rims."""
_BLOCK = 512
"""Mock-ups painted at a time: some 30 MB."""


def likeness(outputs: Pixels, draws: Draws, place: Place | None) -> Array:
    """Cosine between what outputs (n, H, W, 3) share and each mock-up, shape (m,); 0 for outputs of one colour.

    The better one of the outputs as they are and mirrored, for every mark. In a place of the owner's own, all mock-ups
    leave the same part to the picture: it is left out, and what they all share is taken off.
    """
    small, law = small_unit(outputs, SIDE), _law(place)
    colour = (law.window * small).mean(axis=(0, 1, 2)) / law.window.mean()
    usual = 0 if place is None else law.waves(law.window, law.mean[None], colour)
    seen = [law.waves(law.window, view, colour) - usual for view in (small, small[:, :, ::-1])]
    views = np.stack([_shared(small, found) for found in seen], axis=1)
    scores = np.concatenate([_cosines(around - usual, views) for around in _around(draws, colour, place)])
    return np.asarray(np.round(scores, SCORE_DECIMALS))


def _shared(small: Array, found: Array) -> Array:
    """What outputs share, shape (d,), from small outputs and their waves (n, d); a refusal says nothing."""
    flat = small.max(axis=(1, 2, 3)) - small.min(axis=(1, 2, 3)) < 1e-9
    found = np.where(flat[:, None], 0, found)
    return mean_direction(np.tanh(found / np.sqrt(1 + np.mean(found**2, axis=0))))


def _cosines(around: Array, views: Array) -> Array:
    return np.asarray((around @ views).max(axis=1) / np.maximum(np.linalg.norm(around, axis=1), 1e-9))


def _around(draws: Draws, colour: Array, place: Place | None) -> Iterator[Array]:
    """Waves of mock-ups without the owner's picture, in units of their size, some at a time; shape (m, d)."""
    law = _law(place)
    for scenes, seen in _painted(draws, place):
        yield law.waves(seen if place is None else law.window, scenes, colour)


def _painted(draws: Draws, place: Place | None) -> Iterator[tuple[Array, Array]]:
    """Small mock-ups (m, SIDE, SIDE, 3), and how much of each pixel is around the picture (m, SIDE, SIDE, 1)."""
    finer = 1 if place is None else _FINER
    block = max(1, _BLOCK // finer**2)
    for start in range(0, len(draws.marks), block):
        scenes, hidden = small_scenes(draws.of(slice(start, start + block)), SIDE * finer, place)
        yield _smaller(scenes, finer), 1 - _smaller(hidden[..., None], finer)


def _smaller(pictures: Floats, factor: int) -> Array:
    """Means of squares of pixels."""
    count, side, _, channels = pictures.shape
    squares = pictures.reshape(count, side // factor, factor, side // factor, factor, channels)
    return np.asarray(squares.mean(axis=(2, 4), dtype=np.float64))


def _waves(pictures: Array) -> Array:
    """Low cosine waves of square pictures (n, SIDE, SIDE, 3) in three colour channels, shape (n, d)."""
    lines = cosines(SIDE, _FINEST)
    planes = np.moveaxis(pictures @ OPPONENT.T, 3, 1)
    return np.asarray((lines @ planes @ lines.T)[:, :, _low()].reshape(len(pictures), -1))


@cache
def _low() -> NDArray[np.bool_]:
    """Which waves (vertical, horizontal) are compared, shape (_FINEST, _FINEST)."""
    return np.asarray(np.hypot(*np.indices((_FINEST, _FINEST))) < _FINEST)


@dataclass(frozen=True, slots=True)
class _Law:
    """What mock-ups are like: a function of the place alone."""

    sizes: Array
    """Standard deviation of each wave over the law without any description, shape (d,)."""
    mean: Array
    """The mean mock-up, shape (SIDE, SIDE, 3)."""
    window: Array
    """How much each pixel of outputs counts, shape (SIDE, SIDE, 1): all alike, but in a place of the owner's own only
    what no mock-up leaves to the picture."""

    def waves(self, window: Array, pictures: Array, colour: Array) -> Array:
        """Waves of pictures (n, SIDE, SIDE, 3) less a colour under a window, in units of their size; shape (n, d)."""
        return np.asarray(_waves(window * (pictures - colour)) / self.sizes)


@cache
def _law(place: Place | None) -> _Law:
    painted = list(_painted(Draws(np.arange(_LAW, dtype=np.uint64)), place))
    scenes, seen = (np.concatenate(parts) for parts in zip(*painted, strict=True))
    window = np.ones((SIDE, SIDE, 1)) if place is None else seen.mean(axis=0) ** 2
    found = _waves((seen if place is None else window) * (scenes - 0.5))
    return _Law(np.hypot(found.std(axis=0), _FLOOR), scenes.mean(axis=0), window)
