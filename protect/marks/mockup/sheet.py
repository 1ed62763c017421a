"""Paper and paint: pictures of many mock-ups at once, the places of their pixels, and soft shapes to paint with.

Only sums, products, roots and comparisons are used on pixels: they give the same bits for one mark and for thousands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.marks.mockup.draws import Floats


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of m pictures that are being painted. The unit of length is half of the picture's shorter side."""

    canvas: Floats
    """RGB in [0, 1], shape (m, h, w, 3)."""
    x: Floats
    """Places to the right of the middle, shape (1, 1, w)."""
    y: Floats
    """Places below the middle, shape (1, h, 1)."""
    u: Floats
    """Places to the right of the middle of what holds the picture, on its own plane, shape (m, h, w)."""
    v: Floats
    """The same downwards."""
    half: tuple[float, float]
    """Half of the picture's width and height."""
    pixel: float
    """Size of a pixel."""

    def paint(self, colour: Floats, opacity: Floats) -> None:
        """Paint over what is there.

        Args:
            colour: shape (m, 1, 1, 3) or (m, h, w, 3).
            opacity: in [0, 1], shape (m, h, w) or one that stands for it.
        """
        if opacity.any():
            self.canvas[...] += opacity[..., None] * (colour - self.canvas)

    def shade(self, factor: Floats) -> None:
        """Multiply the light by a factor, shape (m, h, w) or one that stands for it."""
        self.canvas[...] *= factor[..., None]

    def cover(self, inside: Floats) -> Floats:
        """How much of a pixel lies in a shape, from the distance to its edge, which is positive inside."""
        return np.asarray(np.clip(inside / np.float32(self.pixel) + np.float32(0.5), 0, 1))

    def box(self, x: Floats, y: Floats, width: Floats, height: Floats) -> Floats:
        """How much of each pixel an upright box covers, from its middle and half sides on the picture."""
        return self.cover(width - np.abs(self.x - x)) * self.cover(height - np.abs(self.y - y))

    def ellipse(self, x: Floats, y: Floats, width: Floats, height: Floats, lean: Floats | float = 0) -> Floats:
        """The same for an ellipse, whose top leans to the right by `lean` of its height."""
        across = (self.x - x + lean * (self.y - y)) / width
        down = (self.y - y) / height
        return self.cover((1 - np.sqrt(across * across + down * down)) * np.minimum(width, height))


def ramp(value: Floats) -> Floats:
    """0 up to 0, 1 from 1 on, smooth between."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def soft_box(u: Floats, v: Floats, width: Floats, height: Floats, blur: Floats) -> Floats:
    """A box with soft edges: half of it at its half sides."""
    across = ramp((width - np.abs(u)) / blur + np.float32(0.5))
    return across * ramp((height - np.abs(v)) / blur + np.float32(0.5))


def ripple(value: Floats) -> Floats:
    """A wave between -1 and 1 with a period of 1, nearly a sine."""
    t = value - np.floor(value)
    hump = 16 * t * (np.float32(0.5) - t)
    back = 16 * (t - np.float32(0.5)) * (1 - t)
    return np.where(t < np.float32(0.5), hump, -back)
