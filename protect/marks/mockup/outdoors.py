"""A street: a sky, hills or houses far away, ground below, and what a billboard stands on."""

from __future__ import annotations

import numpy as np

from protect.marks.mockup.draws import Draws, Floats
from protect.marks.mockup.sheet import Sheet, ramp, ripple
from protect.marks.mockup.words import SKIES

_FAR = [(0.36, 0.45, 0.40), (0.45, 0.50, 0.58), (0.52, 0.47, 0.42), (0.30, 0.34, 0.40)]
_NEAR = [(0.44, 0.50, 0.30), (0.36, 0.37, 0.38), (0.62, 0.56, 0.44), (0.30, 0.40, 0.28)]


def paint_street(sheet: Sheet, draws: Draws) -> None:
    """Paint sky, horizon and ground, whole."""
    _sky(sheet, draws)
    level = np.float32(sheet.half[1]) * draws.uniform("horizon", 0.55, 0.80)
    far = draws.colour("far", _FAR)
    hills = draws.happens("hills", 0.5)
    sheet.paint(far, hills * sheet.cover(sheet.y - level + _ridge(sheet, draws)))
    _houses(sheet, draws, level, far, 1 - hills)
    below = sheet.y - level
    ground = draws.colour("near", _NEAR)
    depth = ramp(below / np.float32(0.5))
    sheet.paint(ground * (np.float32(1.08) - np.float32(0.3) * depth[..., None]), sheet.cover(below))


def _sky(sheet: Sheet, draws: Draws) -> None:
    top = draws.colour("sky", list(SKIES.values()), light=0.06, tone=0.04)
    haze = np.clip(top * np.float32(0.45) + np.float32(0.55) * np.array((0.97, 0.95, 0.92), np.float32), 0, 1)
    low = ramp((sheet.y / sheet.half[1] + 1) / np.float32(1.7)) + 0 * sheet.x
    sheet.canvas[...] = top + low[..., None] * (haze - top)
    for cloud in range(4):
        x = draws.uniform(f"cloud {cloud}, x", -1.1, 1.1) * np.float32(sheet.half[0])
        y = draws.uniform(f"cloud {cloud}, y", -1.0, 0.1) * np.float32(sheet.half[1])
        width, height = (draws.uniform(f"cloud {cloud}, {w}", *r) for w, r in _CLOUD.items())
        across, down = (sheet.x - x) / width, (sheet.y - y) / height
        soft = ramp(1 - across * across - down * down) * draws.uniform(f"cloud {cloud}, light", 0.1, 0.5)
        sheet.paint(np.float32(0.5) * (haze + 1), soft)


_CLOUD = {"width": (0.3, 0.7), "height": (0.05, 0.12)}


def _ridge(sheet: Sheet, draws: Draws) -> Floats:
    """Height of the hills above the horizon, shape (m, 1, w)."""
    x = sheet.x / sheet.half[0]
    first = ripple(x * draws.uniform("ridge, first", 0.25, 0.5) + draws.uniform("ridge, phase"))
    second = ripple(x * draws.uniform("ridge, second", 0.6, 1.1) + draws.uniform("ridge, other phase"))
    return draws.uniform("ridge, height", 0.10, 0.22) * (1 + np.float32(0.6) * first + np.float32(0.25) * second)


def _houses(sheet: Sheet, draws: Draws, level: Floats, far: Floats, there: Floats) -> None:
    """A row of blocks of different height."""
    count = 9
    width = np.float32(2 * sheet.half[0] / count)
    for house in range(count):
        x = np.float32(-sheet.half[0]) + width * (house + draws.uniform(f"house {house}, place", 0.3, 0.7))
        half = width * draws.uniform(f"house {house}, width", 0.45, 0.7)
        tall = draws.uniform(f"house {house}, height", 0.08, 0.45)
        tint = draws.uniform(f"house {house}, light", 0.85, 1.3)[..., None]
        sheet.paint(np.clip(far * tint, 0, 1), there * sheet.box(x, level, half, tall))


def paint_posts(sheet: Sheet, draws: Draws) -> None:
    """Paint the posts under a billboard, and the shade between them."""
    apart = np.float32(sheet.half[0]) * draws.uniform("posts, apart", 0.25, 0.6)
    wide = draws.uniform("posts, width", 0.025, 0.06)
    colour = np.array([0.26, 0.27, 0.29], np.float32) * draws.uniform("posts, light", 0.7, 1.5)[..., None]
    for side in (-1, 1):
        post = sheet.cover(wide - np.abs(sheet.x - side * apart)) * (sheet.y > 0)
        sheet.paint(colour * (1 + np.float32(0.2) * side * (sheet.x > side * apart)[..., None]), post)
