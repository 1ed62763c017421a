"""A mock-up, painted: everything but the owner's picture, and the picture set into it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protect.marks.blocks import row_blocks
from protect.marks.family import Pixels
from protect.marks.mockup import indoors, mount, outdoors
from protect.marks.mockup.draws import Draws, Floats
from protect.marks.mockup.place import Place
from protect.marks.mockup.plane import Plane, drawn_planes, half_sides
from protect.marks.mockup.sheet import Sheet
from protect.marks.mockup.words import BILLBOARD, KINDS, PRINT, SCREEN
from protect.pixels.measure import on_white

_BLEED = 1.5
"""Pixels of the owner's picture that lie under each side of its rim."""
_SHIFT, _LIGHT = 0.02, 0.03
"""How far carriers of one mark differ: in half short sides, and as a share of the light."""
_GRAIN = 1.0
"""Standard deviation of the noise of a scene, in levels of 255."""


@dataclass(frozen=True, slots=True)
class View:
    """How one picture sees a mock-up; drawn for each carrier."""

    right: float = 0.0
    down: float = 0.0
    light: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """Where mock-ups of one kind are painted, for m marks and one size of picture."""

    planes: Plane
    sizes: mount.Mount
    kind: int
    half: tuple[float, float]
    """Half width and half height of the pictures."""
    ground: Pixels | None
    """The owner's own place at the size of the picture, RGB; None if rooms and streets are drawn."""

    def rows(self, draws: Draws, size: tuple[int, int], rows: slice, view: View) -> Sheet:
        """Some rows of a picture (height, width), with all painted but the owner's picture."""
        sheet = make_sheet(self.planes, self.half, size, rows, view)
        if self.ground is not None:
            sheet.canvas[...] = self.ground[rows].astype(np.float32) / 255
            indoors.light_up(sheet, draws)
        elif self.kind == BILLBOARD:
            outdoors.paint_street(sheet, draws)
            outdoors.paint_posts(sheet, draws)
        else:
            _paint_room(sheet, draws, self.kind)
        mount.paint_mount(sheet, draws, self.kind, self.sizes)
        np.clip(sheet.canvas, 0, 1, out=sheet.canvas)
        return sheet


def _paint_room(sheet: Sheet, draws: Draws, kind: int) -> None:
    indoors.paint_wall(sheet, draws)
    level = indoors.paint_board(sheet, draws)
    if kind == SCREEN:
        mount.stand(sheet, draws, level)
    indoors.paint_things(sheet, draws, level)


def make_stage(draws: Draws, kind: int, size: tuple[int, int], half: tuple[float, float], place: Place | None) -> Stage:
    """The stage of marks of one kind for pictures of a size in pixels (height, width), and of a shape by half sides."""
    if place is None:
        return Stage(drawn_planes(draws, half), mount.make_mount(draws, kind, half), kind, half, None)
    plane, room = place.plane(half)
    planes = np.repeat(plane, len(draws.marks), axis=0)
    return Stage(planes, mount.mount_within(draws, room, half), PRINT, half, place.at(*size))


def make_sheet(planes: Plane, half: tuple[float, float], size: tuple[int, int], rows: slice, view: View) -> Sheet:
    """Blank rows of m pictures of that half width and height, on as many pixels (height, width)."""
    height, width = size
    wide, tall = 2 * half[0] / width, 2 * half[1] / height
    pixel = (wide * tall) ** 0.5
    x = ((np.arange(width) + 0.5) * wide - half[0] + view.right)[None, None]
    y = ((np.arange(rows.start, rows.stop) + 0.5) * tall - half[1] + view.down)[None, :, None]
    u, v, w = (p[:, 0, None, None] * x + p[:, 1, None, None] * y + p[:, 2, None, None] for p in planes.swapaxes(0, 1))
    canvas = np.empty((len(planes), y.shape[1], width, 3), np.float32)
    across, down, left, up = (np.asarray(a, np.float32) for a in (x, y, u / w, v / w))
    return Sheet(canvas, across, down, left, up, half, pixel)


def small_scenes(draws: Draws, side: int, place: Place | None = None) -> tuple[Floats, Floats]:
    """Many mock-ups at once on a small square: of square pictures, or in a place of its own shape, squeezed.

    Returns:
        RGB in [0, 1], shape (m, side, side, 3), and how much of each pixel says nothing about the mark, shape
        (m, side, side): what the owner's picture takes, or in a place of his own could take.
    """
    count, size = len(draws.marks), (side, side)
    half = (1.0, 1.0) if place is None else half_sides(*place.picture.shape[:2])
    scenes, hidden = np.empty((count, *size, 3), np.float32), np.empty((count, *size), np.float32)
    kinds = draws.choice("kind", KINDS) if place is None else np.full(count, PRINT)
    for kind in range(KINDS):
        chosen = np.flatnonzero(kinds == kind)
        if len(chosen):
            own = draws.of(chosen)
            stage = make_stage(own, kind, size, half, place)
            sheet = stage.rows(own, size, slice(0, side), View())
            scenes[chosen] = sheet.canvas
            hidden[chosen] = mount.space(sheet, stage.sizes)
    return scenes, hidden


def set_into(picture: Pixels, draws: Draws, rng: np.random.Generator, place: Place | None = None) -> Pixels:
    """A picture (RGBA, H, W) in the mock-up of one mark; opaque, RGBA of the same shape."""
    (height, width), kind = picture.shape[:2], int(draws.choice("kind", KINDS)[0])
    size = height, width
    stage = make_stage(draws, kind, size, half_sides(*size), place)
    shift = rng.uniform(-_SHIFT, _SHIFT, 2) * (place is None)
    view = View(float(shift[0]), float(shift[1]), 1 + rng.uniform(-_LIGHT, _LIGHT))
    printed = _Print(picture, stage, view)
    marked = np.full_like(picture, 255)
    for rows in row_blocks(*size):
        sheet = stage.rows(draws, size, rows, view)
        light = mount.inner_shade(sheet, draws, stage.sizes)[0, ..., None]
        sheet.paint((printed.rows(rows) * light)[None], mount.opening(sheet, stage.sizes))
        grain = rng.standard_normal(sheet.canvas.shape[1:3], np.float32)[..., None] * np.float32(_GRAIN)
        marked[rows, :, :3] = np.clip(np.rint(np.float32(255 * view.light) * sheet.canvas[0] + grain), 0, 255)
    return marked


def empty_scene(draws: Draws, side: int, place: Place | None = None) -> Pixels:
    """The mock-up of one mark around a plain grey picture: RGB, shape (side, side, 3)."""
    scenes, hidden = small_scenes(draws, side, place)
    seen = 1 - hidden[0, ..., None]
    return np.asarray(np.rint(255 * (scenes[0] * seen + np.float32(0.5) * (1 - seen))), np.uint8)


class _Print:
    """The owner's picture as it lies on the plane, in rows of the marked picture."""

    def __init__(self, picture: Pixels, stage: Stage, view: View) -> None:
        height, self._width = picture.shape[:2]
        half, pixel = half_sides(height, self._width), 2 / min(height, self._width)
        wide, tall = (float(s[0, 0, 0]) + _BLEED * pixel for s in stage.sizes.opening)
        small = max(1, round(wide / half[0] * self._width)), max(1, round(tall / half[1] * height))
        self._picture = Image.fromarray(on_white(picture)).resize(small, Image.Resampling.LANCZOS)
        to_units = np.array([[pixel, 0, view.right - half[0]], [0, pixel, view.down - half[1]], [0, 0, 1]])
        wide, tall = small[0] / 2 / wide, small[1] / 2 / tall
        self._map = np.array([[wide, 0, small[0] / 2], [0, tall, small[1] / 2], [0, 0, 1]]) @ stage.planes[0] @ to_units

    def rows(self, rows: slice) -> NDArray[np.float32]:
        """RGB in [0, 1], shape (h, W, 3); black beyond the picture."""
        at = self._map @ np.array([[1, 0, 0], [0, 1, rows.start], [0, 0, 1]])
        numbers = (at / at[2, 2]).ravel()[:8].tolist()
        size = (self._width, rows.stop - rows.start)
        seen = self._picture.transform(size, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BICUBIC)
        return np.asarray(np.asarray(seen, np.float32) / 255, np.float32)
