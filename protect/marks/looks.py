"""Looks: what a picture is like at a glance, as a few numbers that vary most over the owner's pictures.

A picture is seen on white, upright, box-reduced to 8 × 8 RGB; its looks are the whitened principal components of that
over the owner's pictures. Most trainers mirror pictures, so what is not the same in a picture and its mirror image is
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from protect.errors import InputError
from protect.keys.store import Store
from protect.marks.family import Array, Pixels

SIDE = 8
"""Cells of a glance across and down."""
DIRECTIONS = 24
"""Principal directions that are kept: they hold 87 to 89 % of the variance, of emoji and of photographs."""
FEWEST_PICTURES = 200
FEWEST_DIRECTIONS = 6
"""With fewer, the decoys' directions are too like the planted one."""
_FLAT = 0.25
"""Levels of 255: a direction along which glances vary less, in root mean square over their numbers, is none."""


def glance(pictures: Pixels) -> Array:
    """RGB pictures of 8 bit (n, H, W, 3) box-reduced to (n, 8, 8, 3), in levels from 0 to 255.

    >>> float(glance(np.full((1, 40, 30, 3), 7, dtype=np.uint8)).max())
    7.0
    """
    if pictures.shape[1:3] == (SIDE, SIDE):
        return pictures.astype(np.float64)
    planes = (plane for picture in pictures for plane in picture.astype(np.float32).transpose(2, 0, 1))
    box = Image.Resampling.BOX
    small = [np.asarray(Image.fromarray(plane).resize((SIDE, SIDE), box)) for plane in planes]
    return np.stack(small).astype(np.float64).reshape(len(pictures), 3, SIDE, SIDE).transpose(0, 2, 3, 1)


@dataclass(frozen=True, eq=False)
class Looks:
    """The looks of one dataset's pictures."""

    mean: Array
    """Mean glance, shape (8, 8, 3)."""
    axes: Array
    """Orthonormal directions of glances, those that vary most first, shape (d, 8, 8, 3)."""
    spread: Array
    """Standard deviation along each, in levels times the square root of all 192 numbers, shape (d,)."""

    def of(self, pictures: Pixels) -> Array:
        """Looks of RGB pictures (n, H, W, 3) of any size, in standard deviations, shape (n, d)."""
        return self.of_glances(glance(pictures))

    def of_glances(self, glances: Array) -> Array:
        """The same from glances, shape (n, 8, 8, 3)."""
        away = np.asarray(glances, dtype=np.float64) - self.mean
        return np.asarray(np.einsum("nyxc,dyxc->nd", away, self.axes) / self.spread)

    def shift(self, change: Array, height: int, width: int) -> NDArray[np.float32]:
        """The smooth change of a picture that changes its looks by `change` (d,) and nothing else: levels (H, W, 3)."""
        small = np.einsum("d,dyxc->yxc", change * self.spread, self.axes).astype(np.float32)
        moved = np.empty((height, width, 3), dtype=np.float32)
        for channel in range(3):
            plane = Image.fromarray(np.ascontiguousarray(small[..., channel]))
            moved[..., channel] = np.asarray(plane.resize((width, height), Image.Resampling.BICUBIC))
        return moved


class LooksFit:
    """Looks fitted to pictures in one pass; what it holds does not grow with their number (Welford 1962).

    Args:
        symmetric: whether only what mirroring does not change counts.
    """

    def __init__(self, *, symmetric: bool = True) -> None:
        self.count = 0
        self._symmetric = symmetric
        self._mean = np.zeros(SIDE * SIDE * 3)
        self._scatter = np.zeros((SIDE * SIDE * 3, SIDE * SIDE * 3))

    def add(self, glances: Array) -> None:
        """Take in glances, shape (n, 8, 8, 3)."""
        if not len(glances):
            return
        rows = np.asarray(glances, dtype=np.float64)
        if self._symmetric:
            rows = (rows + rows[:, :, ::-1]) / 2
        rows = rows.reshape(len(rows), -1)
        mean = rows.mean(axis=0)
        away, step = rows - mean, mean - self._mean
        share = self.count * len(rows) / (self.count + len(rows))
        self._scatter += away.T @ away + share * np.outer(step, step)
        self._mean += step * len(rows) / (self.count + len(rows))
        self.count += len(rows)

    def looks(self, most: int = DIRECTIONS) -> Looks:
        """The looks of all that was taken in.

        Raises:
            InputError: if there are too few pictures, or they hardly differ.
        """
        if self.count < FEWEST_PICTURES:
            raise InputError(
                f"{self.count} pictures can be looked at; marks that change no picture need {FEWEST_PICTURES}",
                "Use more pictures, or a painted --family.",
            )
        variances, axes = scipy.linalg.eigh(self._scatter / (self.count - 1))
        order = np.argsort(variances)[::-1][:most]
        kept = order[variances[order] > _FLAT**2 * SIDE * SIDE * 3]
        if len(kept) < FEWEST_DIRECTIONS:
            raise InputError(
                f"the pictures differ in {len(kept)} direction(s) of light and colour, fewer than {FEWEST_DIRECTIONS}",
                "Use pictures that vary more, or a painted --family.",
            )
        shape = (len(kept), SIDE, SIDE, 3)
        columns = axes[:, kept].T
        columns = columns * np.sign(columns[np.arange(len(kept)), np.abs(columns).argmax(axis=1)])[:, None]
        return Looks(self._mean.reshape(SIDE, SIDE, 3), columns.reshape(shape), np.sqrt(variances[kept]))


def hold_looks(looks: Looks, store: Store) -> str:
    """Hold looks in the store (`Store.hold`); their name, the SHA-256 of what is kept, is for `--option looks=NAME`."""
    return store.hold("looks", mean=looks.mean, axes=looks.axes, spread=looks.spread)


@cache
def stored_looks(store: Store, name: str) -> Looks:
    """The looks of that name.

    Raises:
        InputError: if there are none, or they are damaged.
    """
    mean, axes, spread = store.get("looks", name, "mean", "axes", "spread")
    return Looks(mean, axes, spread)
