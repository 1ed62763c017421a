"""RGBA pictures drawn on the spot: what photographs, stickers and scans have, without any file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Pixels = NDArray[np.uint8]


def noise(seed: int, height: int = 64, width: int = 64) -> Pixels:
    """Opaque noise of middle brightness."""
    picture = np.random.default_rng(seed).integers(60, 200, (height, width, 4), dtype=np.uint8)
    picture[..., 3] = 255
    return picture


def photograph(seed: int, height: int = 256, width: int = 320) -> Pixels:
    """Opaque, with shapes of all sizes and colours, as photographs have."""
    rng = np.random.default_rng(seed)
    small = [rng.normal(size=(max(2, height // s), max(2, width // s), 3)) * s for s in (4, 16, 64)]
    layers = [np.stack([_enlarged(layer[..., c], height, width) for c in range(3)], axis=2) for layer in small]
    field = np.sum(layers, axis=0)
    return opaque(128 + 45 * field / field.std())


def _enlarged(plane: NDArray[np.float64], height: int, width: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC))


def smooth(seed: int, height: int = 256, width: int = 300) -> Pixels:
    """Opaque, with soft shapes only."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (6, 6, 0))
    return opaque(128 + 40 * field / field.std())


def plain(level: int | tuple[int, int, int], height: int = 64, width: int = 64, alpha: int = 255) -> Pixels:
    """One colour."""
    picture = np.empty((height, width, 4), dtype=np.uint8)
    picture[..., :3] = level
    picture[..., 3] = alpha
    return picture


def opaque(rgb: NDArray[np.generic]) -> Pixels:
    """RGB levels, rounded and clipped, without transparency."""
    levels = np.clip(np.round(rgb.astype(np.float64)), 0, 255).astype(np.uint8)
    return np.dstack([levels, np.full(levels.shape[:2], 255, np.uint8)])


def grey(picture: Pixels) -> Pixels:
    """A picture as read from a file that stores brightness only."""
    return np.asarray(Image.fromarray(picture).convert("LA").convert("RGBA"))


def darkened(picture: Pixels, factor: float) -> Pixels:
    """A picture with all colours times a factor."""
    return np.dstack([(picture[..., :3] * factor).astype(np.uint8), picture[..., 3]])


def window(picture: Pixels, share: float) -> Pixels:
    """A picture of which only a square in the middle, with that share of the area, is not transparent."""
    height, width = picture.shape[:2]
    top, left = (round(side * (1 - share**0.5) / 2) for side in (height, width))
    cut = picture.copy()
    cut[..., 3] = 0
    cut[top : height - top, left : width - left, 3] = 255
    return cut
