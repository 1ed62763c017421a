"""A place of the owner's own: a picture with a wall, a hoarding or a screen in it, and the four corners to fill."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from protect.errors import InputError
from protect.keys.store import Store
from protect.marks.family import Array, Pixels
from protect.marks.mockup.draws import Floats
from protect.marks.mockup.plane import Plane, through

SMALLEST = 0.15
"""Least share of the place that its corners must enclose."""
MOST_STRETCHED = 1.3
"""How far the shape of a picture may be from the shape of the place, as a ratio."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """A place."""

    picture: Pixels
    """RGB, shape (H, W, 3)."""
    corners: Array
    """Of what is filled, from the upper left one clockwise, as shares of width and height, shape (4, 2)."""

    def at(self, height: int, width: int) -> Pixels:
        """The place stretched to a size."""
        smaller = height <= self.picture.shape[0] and width <= self.picture.shape[1]
        way = Image.Resampling.BOX if smaller else Image.Resampling.BICUBIC
        return np.asarray(Image.fromarray(self.picture).resize((width, height), way))

    def plane(self, half: tuple[float, float]) -> tuple[Plane, tuple[Floats, Floats]]:
        """Where its plane lies on a picture of that half width and height, and half of what is filled on the plane."""
        seen = (self.corners * 2 - 1) * half
        sides = np.linalg.norm(seen - np.roll(seen, -1, axis=0), axis=1)
        size = (sides[0] + sides[2]) / 4, (sides[1] + sides[3]) / 4
        flat = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * size
        wide, tall = (np.full((1, 1, 1), s, np.float32) for s in size)
        return through(seen, flat)[None], (wide, tall)

    def obstacle(self, picture: Pixels) -> str | None:
        """Why a picture of this shape cannot stand there, or None."""
        own, shape = (p.shape[1] / p.shape[0] for p in (self.picture, picture))
        if max(own / shape, shape / own) <= MOST_STRETCHED:
            return None
        return f"its sides are {shape:.2f} to 1, too far from {own:.2f} to 1 of the place"


def checked_corners(corners: Array) -> Array:
    """Corners that can be filled.

    Args:
        corners: shares of width and height, shape (4, 2).

    Raises:
        InputError: if they do not go clockwise from the upper left around a convex shape that is large enough.
    """
    edges = np.roll(corners, -1, axis=0) - corners
    turns = edges[:, 0] * np.roll(edges, -1, axis=0)[:, 1] - edges[:, 1] * np.roll(edges, -1, axis=0)[:, 0]
    x, y = corners.T
    area = 0.5 * abs(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
    first = int(np.argmin(corners.sum(axis=1)))
    if not ((corners >= 0).all() and (corners <= 1).all() and (turns > 0).all() and first == 0 and area >= SMALLEST):
        raise InputError(
            f"the corners {corners.round(3).tolist()} cannot be filled",
            f"Give them clockwise from the upper left; they enclose {SMALLEST:.0%} of the picture or more.",
        )
    return corners


@cache
def read_place(store: Store, name: str) -> Place:
    """A place from the store.

    Raises:
        InputError: if the file is missing, damaged or no place.
    """
    picture, corners = store.get("frame", name, "picture", "corners")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or corners.shape != (4, 2):
        raise InputError(f"frame {name} holds {picture.shape} and {corners.shape}", "Make one: protect frame.")
    return Place(picture, checked_corners(corners.astype(np.float64)))
