"""Effects of words on looks, fitted to a model's answers."""

from __future__ import annotations

import numpy as np
import scipy

from protect.marks.family import Array, Pixels
from protect.marks.looks import Looks

SHRINKAGE = 0.1
"""Part of the noise's covariance that is replaced by its diagonal: there are few answers."""


def looks_of_answers(looks: Looks, pictures: Pixels) -> Array:
    """Looks of answers, shape (n, d); not numbers where a picture is of one colour, as a refusal is."""
    found = looks.of(pictures)
    found[np.ptp(pictures.reshape(len(pictures), -1), axis=1) == 0] = np.nan
    return found


def least_squares(change: Array, design: Array) -> tuple[Array, Array]:
    """Effects of choices on looks, and the inverse of their noise's covariance but for a factor.

    Args:
        change: of looks, shape (n, d).
        design: which choices made it, shape (n, k).

    Returns:
        Effects (k, d) and precision (d, d).
    """
    effects = np.linalg.pinv(design) @ change
    rest = change - design @ effects
    covariance = rest.T @ rest / max(1, len(change) - np.linalg.matrix_rank(design))
    diagonal = np.diag(covariance)
    size = diagonal.mean() or 1.0
    shrunken = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(diagonal) + 1e-6 * size * np.eye(len(diagonal))
    return np.asarray(effects), np.asarray(scipy.linalg.inv(shrunken))
