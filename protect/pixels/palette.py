"""New pixels in a palette of as many colours as before, without dithering.

If all colours are in the palette, the result is exact. Otherwise the palette moves: k-means (Lloyd, IEEE Trans. Inf.
Theory 28, 1982) that starts from the old palette; an entry that no pixel is nearest to goes where the error is largest.
A palette of greys stays one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protect.pixels.decode import Pixels

Floats = NDArray[np.float64]
_BLOCK = 1 << 20
_ROUNDS = 5
_COARSE = 0xF8F8F8F8
"""Bits of a colour that count while the palette moves; all count when pixels are assigned at last."""


def in_palette(pixels: Pixels, palette: Pixels) -> tuple[Pixels, Pixels]:
    """Find a palette and the pixels' numbers in it.

    Args:
        pixels: RGBA, shape (H, W, 4).
        palette: RGBA, shape (n, 4), n of at most 256.

    Returns:
        Numbers of colours, shape (H, W), and the palette, shape (n, 4): the same one if all colours are in it.
    """
    if (palette[:, :1] == palette[:, :3]).all():
        pixels = _grey(pixels)
    codes = _with_one_transparent(_codes(pixels), palette)
    colours = np.unique(np.concatenate([np.unique(block) for block in _blocks(codes)]))
    numbers = _exact_numbers(colours, palette)
    if numbers is None:
        palette = _moved(palette, *_coarse(codes, colours))
        numbers = _nearest(_points(_colours(colours)), palette)
    indices = np.concatenate([numbers[np.searchsorted(colours, block)] for block in _blocks(codes)])
    return indices.reshape(pixels.shape[:2]), palette


def _grey(pixels: Pixels) -> Pixels:
    grey = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))
    return np.stack([grey, grey, grey, pixels[..., 3]], axis=2)


def _with_one_transparent(codes: NDArray[np.uint32], palette: Pixels) -> NDArray[np.uint32]:
    """Pixels that nobody sees get the palette's first transparent colour, if it has one."""
    transparent = _codes(palette)[palette[:, 3] == 0]
    return codes if not len(transparent) else np.where(codes >> np.uint32(24), codes, transparent[0])


def _exact_numbers(colours: NDArray[np.uint32], palette: Pixels) -> Pixels | None:
    """The number of every colour in the palette, or None if one of them is not in it."""
    entries, first = np.unique(_codes(palette), return_index=True)
    if not np.isin(colours, entries).all():
        return None
    return first[np.searchsorted(entries, colours)].astype(np.uint8)


def _coarse(codes: NDArray[np.uint32], colours: NDArray[np.uint32]) -> tuple[Floats, Floats]:
    """Points for groups of similar colours, and how many pixels each stands for."""
    counts = np.zeros(len(colours), dtype=np.int64)
    for block in _blocks(codes):
        counts += np.bincount(np.searchsorted(colours, block), minlength=len(colours))
    groups, member = np.unique(colours & np.uint32(_COARSE), return_inverse=True)
    weights = np.bincount(member, counts, len(groups))
    points = _points(_colours(colours))
    sums = [np.bincount(member, counts * points[:, channel], len(groups)) for channel in range(4)]
    return np.stack(sums, axis=1) / weights[:, None], weights.astype(np.float64)


def _moved(palette: Pixels, points: Floats, weights: Floats) -> Pixels:
    """A palette of the same length that fits the points better."""
    from scipy.spatial import cKDTree

    centres = _points(palette)
    for _ in range(_ROUNDS):
        distances, nearest = cKDTree(centres).query(points)
        total = np.bincount(nearest, weights, len(centres))
        used = total > 0
        for channel in range(4):
            sums = np.bincount(nearest, weights * points[:, channel], len(centres))
            centres[used, channel] = sums[used] / total[used]
        worst = np.argsort(-weights * distances**2, kind="stable")[: int(np.sum(~used))]
        centres[np.flatnonzero(~used)[: len(worst)]] = points[worst]
    return _from_points(centres)


def _nearest(points: Floats, palette: Pixels) -> Pixels:
    from scipy.spatial import cKDTree

    numbers: Pixels = cKDTree(_points(palette)).query(points)[1].astype(np.uint8)
    return numbers


def _points(colours: Pixels) -> Floats:
    """Colours weighted by their opacity, with it, so that what nobody sees makes no difference; shape (n, 4)."""
    floats = colours.astype(np.float64)
    floats[:, :3] *= floats[:, 3:] / 255
    return floats


def _from_points(points: Floats) -> Pixels:
    opacity = np.maximum(points[:, 3:], 1e-9) / 255
    colours = np.concatenate([np.where(points[:, 3:] > 0, points[:, :3] / opacity, 0), points[:, 3:]], axis=1)
    return np.clip(np.round(colours), 0, 255).astype(np.uint8)


def _codes(colours: Pixels) -> NDArray[np.uint32]:
    """Colours of shape (..., 4) as one number each, shape (n,)."""
    return np.ascontiguousarray(colours).reshape(-1, 4).view("<u4").reshape(-1)


def _colours(codes: NDArray[np.uint32]) -> Pixels:
    return codes.reshape(-1, 1).view(np.uint8).reshape(-1, 4)


def _blocks(codes: NDArray[np.uint32]) -> Iterator[NDArray[np.uint32]]:
    return (codes[start : start + _BLOCK] for start in range(0, len(codes), _BLOCK))
