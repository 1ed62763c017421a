"""Marks as signs: a mark is a vector of ±1 over fixed cosine waves, scored by a cosine similarity.

All families of this package draw their marks so. Every mark of a family has the same energy, and scoring 10⁶
marks costs one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protect.keys.tree import Ids
from protect.marks.blocks import row_blocks
from protect.marks.family import Array, Pixels

OPPONENT = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]], dtype=np.float64)
OPPONENT /= np.linalg.norm(OPPONENT, axis=1, keepdims=True)
"""Rows: brightness, red against green, yellow against blue; orthonormal."""

SCORE_DECIMALS = 9


def splitmix64(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64 (Steele, Lea and Flood 2014), elementwise.

    >>> hex(int(splitmix64(np.array([0x9E3779B97F4A7C15], dtype=np.uint64))[0]))
    '0xe220a8397b1dcdaf'
    """
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def sign_vectors(marks: Ids, length: int, fixed: Mapping[int, int] = MappingProxyType({})) -> NDArray[np.int8]:
    """The ±1 vectors of marks, from ids alone but for the `fixed` positions; shape (m, length)."""
    words = -(-length // 64)
    steps = np.arange(1, words + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    stream = splitmix64(np.asarray(marks, dtype=np.uint64)[:, None] + steps)
    bits = np.unpackbits(stream.astype(">u8").view(np.uint8).reshape(len(stream), -1), axis=1)
    drawn = (1 - 2 * bits[:, :length].astype(np.int8)).astype(np.int8)
    drawn[:, list(fixed)] = list(fixed.values())
    return drawn


def cosines(size: int, count: int) -> Array:
    """Orthonormal DCT-II waves of 0 … count-1 half periods, shape (count, size)."""
    x = np.arange(size) + 0.5
    waves = np.cos(np.pi * np.arange(count)[:, None] * x / size)
    return waves * np.sqrt(np.where(np.arange(count) == 0, 1, 2) / size)[:, None]


@dataclass(frozen=True)
class Waves:
    """Two-dimensional cosine waves (u, v) with `low <= max(u, v) <= high`, in three colour channels."""

    low: int
    high: int

    @property
    def modes(self) -> NDArray[np.intp]:
        """The (u, v) pairs, vertical first, shape (k, 2)."""
        u, v = np.indices((self.high + 1, self.high + 1)).reshape(2, -1)
        return np.stack([u, v], axis=1)[np.maximum(u, v) >= self.low]

    @property
    def frequency(self) -> Array:
        """Radial frequency of every mode in half periods per picture, shape (k,)."""
        return np.asarray(np.hypot(*self.modes.T.astype(float)))

    @property
    def length(self) -> int:
        """Signs per mark: modes times three channels."""
        return 3 * len(self.modes)

    def render(self, coefficients: Array, height: int, width: int) -> Array:
        """Picture from coefficients (3, k): RGB offsets, shape (H, W, 3); norm 1 gives a root mean square of 1/√3."""
        picture = np.empty((height, width, 3))
        for rows, block in self.render_blocks(coefficients, height, width):
            picture[rows] = block
        return picture

    def render_blocks(self, coefficients: Array, height: int, width: int) -> Iterator[tuple[slice, Array]]:
        """The same a few rows at a time: which rows, and their offsets, shape (rows, W, 3)."""
        grid = np.zeros((3, self.high + 1, self.high + 1))
        grid[:, self.modes[:, 0], self.modes[:, 1]] = coefficients * np.sqrt(height * width)
        colours = np.tensordot(OPPONENT.T, grid, 1)
        down, across = cosines(height, self.high + 1), cosines(width, self.high + 1)
        lines = np.einsum("ouv,vx->uxo", colours, across).reshape(len(down), -1)
        for rows in row_blocks(height, width):
            block = down[:, rows].T @ lines
            yield rows, block.reshape(len(block), width, 3)

    def basis(self, side: int) -> Array:
        """Every wave at all places of a square, root mean square 1, shape (side · side, k)."""
        k = len(self.modes)
        unit = np.zeros((k, 3, k))
        unit[np.arange(k), 0, np.arange(k)] = 1
        values = np.stack([self.render(u, side, side)[..., 0].ravel() for u in unit], axis=1)
        return np.asarray(values * np.sqrt(3))

    def project(self, pictures: Array) -> Array:
        """Coefficients of RGB pictures (n, H, W, 3): the inverse of `render`, shape (n, 3, k)."""
        count, height, width, _ = pictures.shape
        down, across = cosines(height, self.high + 1), cosines(width, self.high + 1)
        columns = (down @ pictures.reshape(count, height, -1)).reshape(count, len(down), width, 3)
        grid = np.einsum("nuxc,vx,oc->nouv", columns, across, OPPONENT, optimize=True)
        return np.asarray(grid[:, :, self.modes[:, 0], self.modes[:, 1]] / np.sqrt(height * width))


def to_unit(pictures: Pixels) -> Array:
    """8-bit pictures as float64 in [0, 1]."""
    unit = pictures.astype(np.float64)
    unit /= 255
    return unit


def small_unit(pictures: Pixels, side: int) -> Array:
    """8-bit pictures (n, H, W, 3) as small squares in [0, 1], shape (n, side, side, 3)."""
    planes = (plane for picture in pictures for plane in to_unit(picture).astype(np.float32).transpose(2, 0, 1))
    small = [np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.BOX)) for p in planes]
    return np.stack(small).astype(np.float64).reshape(len(pictures), 3, side, side).transpose(0, 2, 3, 1)


def unit_rows(features: Array) -> Array:
    """Rows of (n, d) at unit norm; a row of zeros (a constant picture) stays 0."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(np.where(norms > 1e-9, features / np.where(norms > 1e-9, norms, 1), 0))


def mean_direction(features: Array) -> Array:
    """Mean of the rows of (n, d) at unit norm, shape (d,); a row of zeros adds nothing."""
    return np.asarray(unit_rows(features).mean(axis=0))


def squashed(features: Array) -> Array:
    """Features (n, d), each in units of its root mean square over the n pictures, then through tanh; 0 stays 0.

    A model that half remembers a mark paints a few of its waves strongly; those should not outvote the many others.
    """
    size = np.sqrt(np.mean(features**2, axis=0))
    return np.asarray(np.tanh(features / np.where(size > 1e-9, size, np.inf)))


def rank_scores(
    features: Array, marks: Ids, fixed: Mapping[int, int] = MappingProxyType({}), views: Array | None = None
) -> Array:
    """Mean cosine similarity of feature vectors with the signs of every mark.

    Args:
        features: shape (n, d).
        marks: ids, shape (m,).
        fixed: signs, by position, which all marks of the law share.
        views: how features change if all pictures are seen otherwise (mirrored, say), shape (g, d): factors by which
            they are multiplied. Every mark's score is the best of its views.

    Returns:
        Scores in [-1, 1], shape (m,), rounded so that marks with equal signs tie exactly.
    """
    directions = (np.ones((1, features.shape[1])) if views is None else views) * mean_direction(features)
    scores = np.empty(len(marks))
    for start in range(0, len(marks), 65536):
        block = sign_vectors(marks[start : start + 65536], features.shape[1], fixed).astype(np.float64)
        scores[start : start + 65536] = (block @ directions.T).max(axis=1)
    return np.asarray(np.round(scores / np.sqrt(features.shape[1]), SCORE_DECIMALS))
