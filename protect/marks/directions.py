"""Marks as directions: a mark is a unit vector, drawn from its id alone."""

from __future__ import annotations

import numpy as np
import scipy

from protect.keys.tree import Ids
from protect.marks.family import Array
from protect.marks.sign_vectors import SCORE_DECIMALS, splitmix64

BLOCK = 65_536
"""Marks that are scored at a time."""
_STEP = np.uint64(0x9E3779B97F4A7C15)


def directions(marks: Ids, count: int, length: int) -> Array:
    """The unit vectors of marks, each uniform on the sphere.

    Args:
        marks: ids, shape (m,).
        count: vectors of a mark, independent of each other.
        length: of each.

    Returns:
        Shape (m, count, length).
    """
    steps = np.arange(1, count * length + 1, dtype=np.uint64) * _STEP
    # Twice, so that ids which lie some steps apart do not share a stretch of one stream.
    bits = splitmix64(splitmix64(np.asarray(marks, dtype=np.uint64))[:, None] + steps) >> np.uint64(11)
    normal = scipy.special.ndtri((bits.astype(np.float64) + 0.5) / 2**53).reshape(len(marks), count, length)
    return np.asarray(normal / np.linalg.norm(normal, axis=2, keepdims=True))


def direction_scores(effects: Array, precision: Array, marks: Ids, known: Array | None = None) -> Array:
    """How well effects fit the directions of marks: their sum along them, in units of its noise.

    Args:
        effects: one for each direction of a mark, shape (count, d).
        precision: inverse covariance of the noise in every effect, but for a factor, shape (d, d).
        marks: ids, shape (m,).
        known: how well each effect is known: inverse covariance of their noise among each other, but for a factor,
            shape (count, count); positive semidefinite. None if all are known alike and independently.

    Returns:
        Scores, shape (m,), rounded so that equal ones tie; 0 where nothing is known.
    """
    count, length = effects.shape
    weights = np.eye(count) if known is None else known
    weighted = weights @ effects @ precision
    scores = np.empty(len(marks))
    block = max(1, BLOCK // count)
    for start in range(0, len(marks), block):
        drawn = directions(marks[start : start + block], count, length)
        along = np.einsum("mkd,kd->m", drawn, weighted)
        noise = np.einsum("mkd,mkd->m", weights @ drawn, drawn @ precision)
        sure = noise > 0
        scores[start : start + block] = np.where(sure, along, 0) / np.sqrt(np.where(sure, noise, 1))
    return np.asarray(np.round(scores, SCORE_DECIMALS))
