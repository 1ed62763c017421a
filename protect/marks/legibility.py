"""How clearly the marks of a family will read from a picture, on average over all of them. No mark is drawn for it.

A mark of a painting family is a vector s of d signs; it is painted along d directions, and its score is the cosine
of s with the features of what changed. What a picture keeps of the pattern is nearly linear in s: the features are
R s + i + n, where R says which directions lend to which (a transparent corner keeps nothing), i is a change that all
marks make (black can only become lighter), and n is what rounding and clipping add. Over all s the mean of sᵀ(R s + i)
is trace R, and a decoy's score varies by 1/√d. So a mark stands trace R / √(|R|² + |i|² + |n|²) standard deviations
above decoys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protect.marks.family import Array, Pixels
from protect.marks.sign_vectors import Waves

SIDE = 32
"""Of the grid on which pictures are looked at."""
CLEAR = 3.5
"""Standing from which a mark reads clearly. Of 205 pictures (photographs, emoji; dark, light, plain, grey and partly
transparent ones) all above it had their planted mark at least 2.5 standard deviations above decoys."""
_VISIBLE = 0.05
"""Smallest mean opacity."""
_WHITE = 250
"""Level from which people see white."""
_SAMPLED = 256
"""Pixels a side that are looked at, at least: pictures are thinned, for speed."""
LUMINANCE = np.array([0.299, 0.587, 0.114])
"""How grey files weigh colours (ITU-R BT.601)."""
DRIVE = np.linspace(-4, 4, 65)
"""Values that a pattern of root mean square 1 takes."""
_CHANCE = np.exp(-(DRIVE**2) / 2) / np.exp(-(DRIVE**2) / 2).sum()
"""How often: a sum of many waves is nearly normal."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a picture keeps of a pattern of root mean square 1, on a grid; each of shape (SIDE, SIDE, 3)."""

    gain: Array
    """Change for each unit of the pattern."""
    bias: Array
    """Change that comes with every pattern."""
    rest: Array
    """Root mean square of what neither explains."""


def is_grey(picture: Pixels) -> bool:
    """Whether all channels of an RGBA picture (H, W, 4) are equal everywhere, as in a file stored in grey."""
    red, green, blue = (picture[..., channel] for channel in range(3))
    return bool(np.array_equal(red, green) and np.array_equal(green, blue))


def colourless(picture: Pixels) -> str | None:
    """What an RGBA picture (H, W, 4) is if it has no colours, as a word for messages; None if it has some."""
    if not is_grey(picture):
        return None
    seen = picture[..., 0][picture[..., 3] > 0]
    if not seen.size:
        return "transparent everywhere"
    if seen.min() >= _WHITE:
        return "white everywhere"
    return "black everywhere" if seen.max() <= 255 - _WHITE else "grey"


def mostly_transparent(picture: Pixels) -> str | None:
    """The obstacle of a picture (RGBA) of which hardly anything is seen, or None."""
    opacity = float(picture[..., 3].mean()) / 255
    return f"{1 - opacity:.0%} of it is transparent" if opacity < _VISIBLE else None


def thinned(picture: Pixels) -> Pixels:
    """Every k-th pixel of a picture, so that its shorter side keeps some hundred; a view."""
    step = max(1, min(picture.shape[:2]) // _SAMPLED)
    return picture[::step, ::step]


def on_grid(values: NDArray[np.floating]) -> Array:
    """Means of (H, W, 3) over the cells of the grid, shape (SIDE, SIDE, 3)."""
    planes = (Image.fromarray(np.ascontiguousarray(values[..., c], dtype=np.float32)) for c in range(3))
    small = [np.asarray(plane.resize((SIDE, SIDE), Image.Resampling.BOX)) for plane in planes]
    return np.stack(small, axis=2).astype(np.float64)


def kept_by_level(changed: Callable[[Array, Array], Array]) -> tuple[Array, Array, Array]:
    """Gain, bias and rest of each of the 256 levels; shape (256,) each.

    Args:
        changed: new levels, rounded and clipped, from levels (256, 1) and what a pattern does (1, k).
    """
    levels = np.arange(256.0)[:, None]
    change = changed(levels, DRIVE[None]) - levels
    gain, bias = (change * DRIVE) @ _CHANCE, change @ _CHANCE
    rest = np.maximum((change**2) @ _CHANCE - bias**2 - gain**2, 0)
    return gain, bias, np.sqrt(rest)


def standing(kept: Kept, directions: Array, amplitudes: Array, weights: Array, *, grey: bool) -> float:
    """Standard deviations by which a mark's score stands above decoys' scores, on average over all marks.

    Args:
        kept: by the picture.
        directions: unit vectors, shape (d, SIDE · SIDE · 3).
        amplitudes: of each direction in a pattern of root mean square 1, shape (d,).
        weights: by which each feature is multiplied before the cosine is taken, shape (d,).
        grey: whether the file stores brightness only.
    """
    painted = directions * (kept.gain.ravel())
    bias = kept.bias
    if grey:
        painted = np.repeat(painted.reshape(len(directions), -1, 3) @ LUMINANCE, 3, axis=1)
        bias = np.repeat((bias @ LUMINANCE)[..., None], 3, axis=2)
    response = weights[:, None] * (directions @ painted.T) * amplitudes
    shared = weights * (directions @ bias.ravel())
    noise = np.sum((weights * amplitudes) ** 2) * np.mean(kept.rest**2)
    size = np.sqrt(np.sum(response**2) + np.sum(shared**2) + noise)
    return float(np.trace(response) / size) if size > 0 else 0.0


@cache
def wave_directions(waves: Waves) -> Array:
    """The waves of all channels on the grid at unit norm, in the order of their signs, shape (d, SIDE · SIDE · 3)."""
    units = np.eye(waves.length).reshape(waves.length, 3, -1)
    drawn = np.stack([waves.render(unit, SIDE, SIDE).ravel() for unit in units])
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))
