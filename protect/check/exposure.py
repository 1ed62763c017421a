"""What gives carriers away to someone without the key: near-duplicates, and traces that a classifier finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from protect.marks.family import Array, Pixels

NEAR = 8
"""Perceptual hashes of 64 bits that differ in at most this many are near-duplicates, as de-duplication takes them."""
Hash = NDArray[np.bool_]
_BLOCK, _FOLDS, _RIDGE = 8, 5, 10.0
_LOOKED_AT = 1024
"""Side of the middle of a picture in which residuals are looked at, in pixels."""


def near_duplicates(pictures: Sequence[Pixels]) -> float:
    """Share of pictures, RGB, that have a near-duplicate among the others."""
    return share_of_near([perceptual_hash(picture) for picture in pictures])


def perceptual_hash(picture: Pixels) -> Hash:
    """pHash of the imagehash package, shape (64,)."""
    import imagehash

    return np.asarray(imagehash.phash(Image.fromarray(picture)).hash.ravel())


def share_of_near(hashes: Sequence[Hash]) -> float:
    """Share of hashes that have a near one among the others."""
    stacked = np.stack(hashes)
    distance = (stacked[:, None] != stacked[None]).sum(axis=2)
    np.fill_diagonal(distance, _BLOCK * _BLOCK + 1)
    return float((distance.min(axis=1) <= NEAR).mean())


def residual_auc(marked: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """How well a classifier on noise residuals tells two sets of pictures apart; see `auc_of_spectra`."""
    return auc_of_spectra([residual_spectrum(p) for p in marked], [residual_spectrum(p) for p in others])


def auc_of_spectra(marked: Sequence[Array], others: Sequence[Array]) -> float:
    """How well a classifier tells two sets of residual spectra apart.

    Ridge regression, five folds; both pictures made from one original must stand at the same place, so that they
    share a fold.

    Returns:
        Area under the curve on held-out pictures; .5 is chance.
    """
    features = np.stack([*marked, *others])
    features = (features - features.mean(axis=0)) / (features.std(axis=0) + 1e-9)
    target = np.repeat([1.0, -1.0], [len(marked), len(others)])
    fold = np.concatenate([np.arange(len(marked)), np.arange(len(others))]) % _FOLDS
    predicted = np.empty(len(target))
    for k in range(_FOLDS):
        x, y = features[fold != k], target[fold != k]
        weights = np.linalg.solve(x.T @ x + _RIDGE * np.eye(x.shape[1]), x.T @ y)
        predicted[fold == k] = features[fold == k] @ weights
    from scipy import stats  # takes a third of a second to import; no other command needs it

    test = stats.mannwhitneyu(predicted[: len(marked)], predicted[len(marked) :])
    return float(test.statistic / (len(marked) * len(others)))


def residual_spectrum(picture: Pixels) -> Array:
    """Mean log energy of each DCT coefficient of the high-pass residual, per channel, shape (192,).

    Args:
        picture: RGB, shape (H, W, 3), 8 pixels a side or more; of large ones the middle is looked at.
    """
    rgb = _middle(picture).astype(np.float64)
    residual = rgb - scipy.ndimage.gaussian_filter(rgb, (1, 1, 0))
    height, width = (s // _BLOCK * _BLOCK for s in residual.shape[:2])
    blocks = residual[:height, :width].reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3)
    energy = np.mean(scipy.fft.dctn(blocks, axes=(1, 3), norm="ortho") ** 2, axis=(0, 2))
    return np.asarray(np.log(energy + 1e-2).ravel())


def _middle(picture: Pixels) -> Pixels:
    """The middle of a picture, at a multiple of 8 pixels from its corner, where JPEG's blocks begin."""
    top, left = (max(0, (side - _LOOKED_AT) // 2 // _BLOCK * _BLOCK) for side in picture.shape[:2])
    return picture[top : top + _LOOKED_AT, left : left + _LOOKED_AT]
