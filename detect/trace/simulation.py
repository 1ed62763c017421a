"""Recipients, colluders and a model that learned their captions, simulated as looks and choices of words.

What a model learns of a site is the difference between the looks that its two wordings stand for. A real model learns
a part of it, and its answers are noisy. Both are told by one number for each slot that was measured: the likeness
(cosine) of what the answers show with the mark, when one copy alone was learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detect.trace.collusion import NONE, Choices, Merged
from protect.evidence import Array


def copies_of(looks: Array, directions: Array) -> Choices:
    """The copies of recipients: at each site the half that leans towards their mark has the second wording.

    Args:
        looks: of the pictures, shape (n, d).
        directions: marks, shape (c, K, d).

    Returns:
        Shape (c, n, K).
    """
    leaning = np.einsum("nd,ckd->cnk", looks, directions)
    return np.asarray(leaning > np.median(leaning, axis=1, keepdims=True), dtype=np.int8)


def taught(looks: Array, merged: Merged) -> Array:
    """By how much the looks of the second wording differ from those of the first, all sites fitted together; (K, d)."""
    rows = looks[merged.samples]
    design = np.where(merged.choices == NONE, 0.0, merged.choices - 0.5)
    if len(rows) <= design.shape[1] + 1:
        return np.zeros((design.shape[1], looks.shape[1]))
    return np.asarray(np.linalg.pinv(design - design.mean(axis=0)) @ (rows - rows.mean(axis=0)))


@dataclass(frozen=True, slots=True)
class Learner:
    """A model: how much of what it is taught its answers show, slot by slot."""

    likeness: Array
    """Of what the answers show with the mark of the only copy that was learned; in [0, 1), shape (K,)."""
    whole: float
    """Size of what one copy teaches, in standard deviations of looks."""

    def shows(self, lesson: Array, rng: np.random.Generator) -> Array:
        """What the answers show of a lesson (K, d), in units of their noise along one direction; (K, d)."""
        length = lesson.shape[1]
        strength = self.likeness * np.sqrt(length / (1 - self.likeness**2)) / self.whole
        return np.asarray(strength[:, None] * lesson + rng.normal(size=lesson.shape))
