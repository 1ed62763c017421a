"""A room: a wall with soft light on it, a floor or a sideboard below, and a few things that stand there."""

from __future__ import annotations

import numpy as np

from protect.marks.mockup.draws import Draws, Floats
from protect.marks.mockup.sheet import Sheet, ramp, soft_box
from protect.marks.mockup.words import WALLS

_BOARDS = [(0.72, 0.56, 0.40), (0.45, 0.31, 0.21), (0.90, 0.88, 0.85), (0.58, 0.56, 0.54), (0.30, 0.28, 0.27)]
_POTS = [(0.88, 0.85, 0.80), (0.62, 0.40, 0.30), (0.30, 0.36, 0.40), (0.76, 0.66, 0.50), (0.45, 0.52, 0.46)]
_LEAVES = [(0.28, 0.40, 0.26), (0.42, 0.50, 0.32), (0.55, 0.50, 0.34), (0.20, 0.32, 0.28)]
_COVERS = [(0.70, 0.32, 0.26), (0.25, 0.36, 0.48), (0.86, 0.80, 0.68), (0.36, 0.44, 0.36), (0.82, 0.62, 0.32)]
_STEMS = 5


def paint_wall(sheet: Sheet, draws: Draws) -> None:
    """Paint a wall, whole, in two or three tones, with the soft light of a window beside it."""
    wall = draws.colour("wall", list(WALLS.values()), light=0.06, tone=0.03)
    sheet.canvas[...] = wall
    _paint_accents(sheet, draws, wall)
    light_up(sheet, draws)
    _window_light(sheet, draws)


def _paint_accents(sheet: Sheet, draws: Draws, wall: Floats) -> None:
    """A lower part of the wall under a moulding, an upright part at one side, or both, in tones of their own.

    A plain wall would hardly tell one mark from another once its colour is taken off.
    """
    which = draws.uniform("accents")
    side = 2 * draws.happens("accent, at the left", 0.5) - 1
    edge = np.float32(sheet.half[0]) * draws.uniform("accent, aside", 0.1, 0.8)
    upright = (which > np.float32(0.35)) * sheet.cover(-side * sheet.x - edge)
    sheet.paint(_tone(draws, "accent, upright", wall), upright + 0 * sheet.y)
    level = np.float32(sheet.half[1]) * draws.uniform("accent, level", -0.2, 0.6)
    there = (which < np.float32(0.65)).astype(np.float32)
    sheet.paint(_tone(draws, "accent, lower", wall), there * sheet.cover(sheet.y - level) + 0 * sheet.x)
    wood = draws.happens("moulding", 0.6) * there
    sheet.paint(
        _tone(draws, "moulding, tone", wall) * np.float32(1.06), wood * sheet.cover(0.014 - np.abs(sheet.y - level))
    )


def _tone(draws: Draws, name: str, wall: Floats) -> Floats:
    """Another colour of walls, drawn towards the wall's own."""
    other = draws.colour(name, list(WALLS.values()), light=0.06, tone=0.03)
    return wall + draws.uniform(f"{name}, share", 0.25, 0.65)[..., None] * (other - wall)


def light_up(sheet: Sheet, draws: Draws) -> None:
    """Let light fall from one side, and grow dimmer towards the corners."""
    x, y = sheet.x / sheet.half[0], sheet.y / sheet.half[1]
    side, above = direction(draws)
    strength = draws.uniform("light, strength", 0.05, 0.20)
    corners = draws.uniform("light, corners", 0.01, 0.06)
    sheet.shade(1 - strength * (side * x + above * y) - corners * (x * x + y * y))


def direction(draws: Draws) -> tuple[Floats, Floats]:
    """Where the light goes: to the right and downwards, each of shape (m, 1, 1)."""
    left = 2 * draws.happens("light, from the left", 0.5) - 1
    side = left * draws.uniform("light, side", 0.55, 1)
    return side, draws.uniform("light, above", 0.2, 0.8)


def _window_light(sheet: Sheet, draws: Draws) -> None:
    """Two panes of sunlight that lie aslant on the wall, in some rooms."""
    side, _ = direction(draws)
    along = sheet.x - side * draws.uniform("sun, place", -0.9, 0.3) * sheet.half[0]
    along = along - side * draws.uniform("sun, slant", 0.3, 0.7) * sheet.y
    width, blur = draws.uniform("sun, width", 0.16, 0.30), draws.uniform("sun, blur", 0.05, 0.12)
    height = np.float32(sheet.half[1]) * draws.uniform("sun, height", 0.7, 1.1)
    panes = sum(
        soft_box(along - s * (width + np.float32(0.06)), sheet.y, width, height, blur).astype(np.float32)
        for s in (-1, 1)
    )
    share = draws.happens("sun", 0.5) * draws.uniform("sun, strength", 0.07, 0.15)
    sheet.shade(1 + share * np.asarray(panes))


def paint_board(sheet: Sheet, draws: Draws) -> Floats:
    """Paint a sideboard or a floor along the lower edge; returns its height on the picture, (m, 1, 1)."""
    level = np.float32(sheet.half[1]) * draws.uniform("board, level", 0.80, 0.90)
    tilt = draws.uniform("board, tilt", -0.015, 0.015)
    below = sheet.y - level - tilt * sheet.x
    sheet.shade(1 - np.float32(0.16) * ramp(1 + below / np.float32(0.10)) * (below < 0))
    colour = draws.colour("board", _BOARDS)
    opacity = sheet.cover(below)
    depth = np.clip(below / np.float32(0.35), 0, 1)
    sheet.paint(colour * (1 - np.float32(0.22) * depth[..., None]), opacity)
    edge = draws.happens("board, edge", 0.5) * draws.uniform("board, thickness", 0.05, 0.09)
    sheet.paint(colour * np.float32(0.72), opacity * (edge > 0) * sheet.cover(below - edge))
    return level


def paint_things(sheet: Sheet, draws: Draws, level: Floats) -> None:
    """Paint what stands on the board beside the picture: in most rooms a vase with twigs, books, or both."""
    left = 2 * draws.happens("things, at the left", 0.5) - 1
    x = left * np.float32(sheet.half[0]) - left * draws.uniform("vase, place", 0.06, 0.16)
    _vase(sheet, draws, x, level, draws.happens("vase", 0.7))
    x = -left * np.float32(sheet.half[0]) + left * draws.uniform("books, place", 0.10, 0.24)
    _books(sheet, draws, x, level, draws.happens("books", 0.6))


def _vase(sheet: Sheet, draws: Draws, x: Floats, level: Floats, there: Floats) -> None:
    width, height = draws.uniform("vase, width", 0.07, 0.12), draws.uniform("vase, height", 0.10, 0.20)
    foot = level + np.float32(0.03)
    _contact(sheet, x, foot, width, there)
    _twigs(sheet, draws, x, foot - 2 * height, there)
    pot = draws.colour("vase", _POTS)
    body = sheet.ellipse(x, foot - height, width, height * np.float32(1.02)) * sheet.cover(foot - sheet.y)
    neck = sheet.box(x, foot - np.float32(1.9) * height, width * np.float32(0.45), height * np.float32(0.22))
    side, _ = direction(draws)
    round_off = 1 - np.float32(0.28) * np.clip(side * (sheet.x - x) / width, -1, 1)
    sheet.paint(pot * round_off[..., None], there * np.maximum(body, neck))


def _twigs(sheet: Sheet, draws: Draws, x: Floats, top: Floats, there: Floats) -> None:
    colour = draws.colour("leaves", _LEAVES)
    reach = draws.uniform("leaves, reach", 0.22, 0.42)
    wide = draws.uniform("leaves, width", 0.018, 0.05)
    for stem in range(_STEMS):
        lean = draws.uniform(f"stem {stem}", -0.75, 0.75) * (1 if stem else np.float32(0.2))
        tall = reach * draws.uniform(f"stem {stem}, reach", 0.6, 1)
        blade = sheet.ellipse(x + lean * tall * np.float32(0.5), top - tall / 2, wide, tall / 2, lean)
        tint = draws.uniform(f"stem {stem}, light", 0.8, 1.2)[..., None]
        sheet.paint(np.clip(colour * tint, 0, 1), there * blade)


def _books(sheet: Sheet, draws: Draws, x: Floats, level: Floats, there: Floats) -> None:
    foot = level + np.float32(0.03)
    _contact(sheet, x, foot, np.float32(0.2) + 0 * x, there)
    for book in range(3):
        thick = draws.uniform(f"book {book}, thickness", 0.016, 0.03)
        width = draws.uniform(f"book {book}, width", 0.14, 0.22)
        aside = draws.uniform(f"book {book}, place", -0.03, 0.03)
        foot = foot - 2 * thick
        cover = sheet.box(x + aside, foot + thick, width, thick)
        sheet.paint(draws.colour(f"book {book}", _COVERS), there * cover)


def _contact(sheet: Sheet, x: Floats, foot: Floats, width: Floats, there: Floats) -> None:
    """The small shadow under a thing."""
    shadow = soft_box(sheet.x - x, sheet.y - foot, width, np.float32(0.008) + 0 * x, np.float32(0.06) + 0 * x)
    sheet.shade(1 - np.float32(0.35) * there * shadow)
