"""What holds the picture: a framed print, a poster, a screen or a billboard, and the shadow that it throws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.marks.mockup.draws import Draws, Floats
from protect.marks.mockup.indoors import direction
from protect.marks.mockup.sheet import Sheet, ramp, ripple, soft_box
from protect.marks.mockup.words import BILLBOARD, POSTER, PRINT, RIMS, SCREEN

_PAPERS = [(0.97, 0.96, 0.94), (0.95, 0.93, 0.88), (0.90, 0.89, 0.87), (0.84, 0.83, 0.80)]
_CASES = [(0.08, 0.08, 0.09), (0.16, 0.16, 0.17), (0.72, 0.73, 0.75), (0.92, 0.92, 0.93)]
_STEEL = [(0.25, 0.26, 0.28), (0.55, 0.57, 0.60), (0.86, 0.87, 0.88), (0.30, 0.36, 0.44)]
_ALL_RIMS = list(RIMS.values())


@dataclass(frozen=True, slots=True)
class Mount:
    """Half width and half height of nested boxes on its plane, in half short sides of the picture, each (m, 1, 1)."""

    opening: tuple[Floats, Floats]
    """What is seen of the owner's picture."""
    space: tuple[Floats, Floats]
    """What a picture of another shape could fill at most."""
    paper: tuple[Floats, Floats]
    """Picture and the paper around it."""
    rim: Floats
    """Width of the rim around both."""

    @property
    def outer(self) -> tuple[Floats, Floats]:
        """All of it."""
        return _wider(self.paper, self.rim)

    @property
    def matted(self) -> Floats:
        """1 where paper is seen, else 0."""
        return ((self.paper[0] > self.opening[0]) * (self.rim > 0)).astype(np.float32)


_SIZES = {
    PRINT: (0.025, 0.060, 0.6),
    POSTER: (0.0, 0.0, 0.6),
    SCREEN: (0.014, 0.035, 0.0),
    BILLBOARD: (0.02, 0.05, 0.3),
}
"""Thinnest and widest rim, and how often there is paper around the picture."""
_MAT = (0.025, 0.07)


def make_mount(draws: Draws, kind: int, half: tuple[float, float]) -> Mount:
    """The sizes of a kind's mounts around a picture of that half width and height."""
    thin, wide, share = _SIZES[kind]
    rim = draws.uniform("rim, width", thin, wide)
    mat = draws.happens("mat", share) * draws.uniform("mat, width", *_MAT)
    size = np.minimum(draws.uniform("size", 0.72, 0.80), np.float32(0.865) - rim - mat)
    opening = size * np.float32(half[0]), size * np.float32(half[1])
    return Mount(opening, opening, _wider(opening, mat), rim)


def mount_within(draws: Draws, room: tuple[Floats, Floats], half: tuple[float, float]) -> Mount:
    """The sizes of framed prints that fill a room (half width, half height), as large as the picture's shape allows."""
    side = np.minimum(*room)
    rim = side * draws.uniform("rim, width", 0.03, 0.08)
    mat = rim + side * draws.uniform("mat, width", 0.02, 0.07)
    space = _wider(room, -mat)
    size = np.minimum(space[0] / np.float32(half[0]), space[1] / np.float32(half[1]))
    return Mount((size * np.float32(half[0]), size * np.float32(half[1])), space, _wider(room, -rim), rim)


def _wider(size: tuple[Floats, Floats], by: Floats) -> tuple[Floats, Floats]:
    return size[0] + by, size[1] + by


def paint_mount(sheet: Sheet, draws: Draws, kind: int, mount: Mount) -> None:
    """Paint what holds the picture, all but the picture."""
    _shadow(sheet, draws, mount, far=kind == BILLBOARD)
    if kind == POSTER:
        _paper(sheet, draws, mount)
        _hanger(sheet, draws, mount)
        return
    palette = {PRINT: _ALL_RIMS, SCREEN: _CASES, BILLBOARD: _STEEL}[kind]
    name = "rim" if kind == PRINT else f"rim {kind}"
    _rim(sheet, draws, mount, draws.colour(name, palette, light=0.07), flat=kind == SCREEN)
    if kind == SCREEN:
        sheet.paint(np.zeros((1, 1, 1, 3), np.float32) + np.float32(0.03), _inside(sheet, mount.paper))
    else:
        _paper(sheet, draws, mount)


def _inside(sheet: Sheet, size: tuple[Floats, Floats]) -> Floats:
    """How much of each pixel lies in a box in the middle of the mount's plane, shape (m, h, w)."""
    return sheet.cover(size[0] - np.abs(sheet.u)) * sheet.cover(size[1] - np.abs(sheet.v))


def opening(sheet: Sheet, mount: Mount) -> Floats:
    """How much of each pixel shows the owner's picture, shape (m, h, w)."""
    return _inside(sheet, mount.opening)


def space(sheet: Sheet, mount: Mount) -> Floats:
    """How much of each pixel a picture could take, whatever its shape, shape (m, h, w)."""
    return _inside(sheet, mount.space)


def _shadow(sheet: Sheet, draws: Draws, mount: Mount, *, far: bool) -> None:
    side, above = direction(draws)
    away = draws.uniform("shadow, distance", 0.02, 0.06) * (np.float32(0.3) if far else 1)
    blur = draws.uniform("shadow, blur", 0.04, 0.14)
    strength = draws.uniform("shadow, strength", 0.22, 0.5)
    soft = soft_box(sheet.u - side * away, sheet.v - above * away, *mount.outer, blur)
    close = soft_box(sheet.u, sheet.v, *mount.outer, np.float32(0.03) + 0 * blur)
    sheet.shade(1 - strength * np.maximum(soft, np.float32(0.6) * close))


def _rim(sheet: Sheet, draws: Draws, mount: Mount, colour: Floats, *, flat: bool) -> None:
    """Four mitred bars, each in its own light."""
    across, down = np.abs(sheet.u) - mount.paper[0], np.abs(sheet.v) - mount.paper[1]
    upright = across > down
    place = np.clip(np.maximum(across, down) / mount.rim, 0, 1)
    side, above = direction(draws)
    facing = np.where(upright, -side * np.sign(sheet.u), -above * np.sign(sheet.v))
    slope = draws.uniform("rim, bevel", -0.22, 0.22) * (np.float32(0.3) if flat else 1)
    hollow = draws.uniform("rim, round", -0.5, 1)
    light = 1 + facing * slope * (place - hollow * (1 - place)) * 2
    if not flat:
        light = light * _grain(sheet, draws, np.where(upright, sheet.v, sheet.u), place)
        light = light * (1 - np.float32(0.25) * sheet.cover(sheet.pixel * np.float32(0.4) - np.abs(across - down)))
    light = light * (1 - np.float32(0.18) * ramp(1 - place * mount.rim / np.float32(0.012)))
    sheet.paint(np.clip(colour * light[..., None], 0, 1), _inside(sheet, mount.outer))


def _grain(sheet: Sheet, draws: Draws, along: Floats, place: Floats) -> Floats:
    """Streaks along a bar, where pixels are fine enough to show them."""
    fine = np.float32(max(0.0, 1 - sheet.pixel / 0.012))
    if not fine:
        return np.ones((1, 1, 1), np.float32)
    first = ripple(place * 3 + along * draws.uniform("grain, slant", -0.6, 0.6) + draws.uniform("grain"))
    second = ripple(place * 7 + along * draws.uniform("grain, other slant", -1.5, 1.5))
    return 1 + fine * np.float32(0.03) * (first + second)


def _paper(sheet: Sheet, draws: Draws, mount: Mount) -> None:
    """White paper around the picture, with the bevel of its cut."""
    white = draws.colour("mat", _PAPERS, light=0.02, tone=0.01)
    sheet.paint(white, _inside(sheet, mount.paper))
    bevel = _inside(sheet, _wider(mount.opening, np.array(0.008, np.float32)))
    sheet.paint(white * np.float32(0.86), np.asarray(mount.matted * bevel))


def _hanger(sheet: Sheet, draws: Draws, mount: Mount) -> None:
    """Two bars that hold a poster above and below, or four bits of tape at its corners."""
    bars = draws.happens("bars", 0.6)
    thick = draws.uniform("bars, thickness", 0.014, 0.028)
    colour = draws.colour("bars", _ALL_RIMS)
    bits = np.float32(0.055) + 0 * bars
    for down in (-1, 1):
        middle = sheet.v - down * mount.paper[1]
        bar = sheet.cover(mount.paper[0] + np.float32(0.012) - np.abs(sheet.u)) * sheet.cover(thick - np.abs(middle))
        sheet.paint(colour * (1 - np.float32(0.25) * ramp(middle / thick)[..., None]), bars * bar)
        for side in (-1, 1):
            aside = sheet.u - side * mount.paper[0]
            slant = np.abs(aside * side + middle * down), np.abs(aside * side - middle * down)
            tape = sheet.cover(np.float32(0.022) - slant[0]) * sheet.cover(bits - slant[1])
            sheet.paint(np.array([0.93, 0.89, 0.78], np.float32), (1 - bars) * np.float32(0.75) * tape)


def stand(sheet: Sheet, draws: Draws, level: Floats) -> None:
    """The foot of a screen on its desk."""
    colour = np.array([0.13, 0.13, 0.14], np.float32) * draws.uniform("foot, light", 0.8, 3)[..., None]
    wide = draws.uniform("foot, width", 0.06, 0.22)
    neck = sheet.cover(wide / 2 - np.abs(sheet.u)) * (sheet.y > 0) * sheet.cover(level + np.float32(0.02) - sheet.y)
    base = sheet.box(0 * wide, level + np.float32(0.03), wide * 2, np.float32(0.012) + 0 * wide)
    sheet.paint(colour, np.maximum(neck, base))


def inner_shade(sheet: Sheet, draws: Draws, mount: Mount) -> Floats:
    """Light that reaches the owner's picture under its rim: factors near 1, shape (m, h, w)."""
    side, above = direction(draws)
    deep = np.float32(0.35) * (mount.rim + np.float32(0.012))
    lit = soft_box(sheet.u - side * deep, sheet.v - above * deep, *mount.opening, np.float32(2) * deep)
    return 1 - np.float32(0.22) * (mount.rim > 0) * (1 - lit)
