"""What gives carriers away to someone without the key: near-duplicates, and traces that a classifier finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image
from scipy import fft, ndimage, stats

from protect.marks.family import Array, Pixels

NEAR = 8
"""Perceptual hashes of 64 bits that differ in at most this many are near-duplicates, as de-duplication takes them."""
_BLOCK, _FOLDS, _RIDGE = 8, 5, 10.0


def near_duplicates(pictures: Sequence[Pixels]) -> float:
    """Share of pictures that have a near-duplicate among the others (pHash of the imagehash package)."""
    import imagehash

    hashes = np.stack([imagehash.phash(Image.fromarray(p)).hash.ravel() for p in pictures])
    distance = (hashes[:, None] != hashes[None]).sum(axis=2)
    np.fill_diagonal(distance, _BLOCK * _BLOCK + 1)
    return float((distance.min(axis=1) <= NEAR).mean())


def residual_auc(marked: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """How well a classifier on noise residuals tells two sets of pictures apart.

    Ridge regression on the log spectrum of each picture's 8 by 8 residual blocks, five folds; both pictures made
    from one original must stand at the same place, so that they share a fold.

    Returns:
        Area under the curve on held-out pictures; .5 is chance.
    """
    a, b = (np.stack([residual_spectrum(p) for p in group]) for group in (marked, others))
    features = np.concatenate([a, b])
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    target = np.repeat([1.0, -1.0], [len(a), len(b)])
    fold = np.concatenate([np.arange(len(a)), np.arange(len(b))]) % _FOLDS
    predicted = np.empty(len(target))
    for k in range(_FOLDS):
        x, y = features[fold != k], target[fold != k]
        weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
        predicted[fold == k] = features[fold == k] @ weights
    test = stats.mannwhitneyu(predicted[: len(a)], predicted[len(a) :])
    return float(test.statistic / (len(a) * len(b)))


def residual_spectrum(picture: Pixels) -> Array:
    """Mean log energy of each DCT coefficient of the high-pass residual, per channel, shape (192,)."""
    rgb = picture.astype(np.float64)
    residual = rgb - ndimage.gaussian_filter(rgb, (1, 1, 0))
    height, width = (s // _BLOCK * _BLOCK for s in residual.shape[:2])
    blocks = residual[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    energy = np.mean(fft.dctn(blocks, axes=(1, 3), norm="ortho") ** 2, axis=(0, 2))
    return np.asarray(np.log(energy + 1e-2).ravel())
