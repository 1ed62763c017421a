"""Adding a pattern to a picture, as strongly as a quality allows."""

from __future__ import annotations

import numpy as np

from protect.errors import InputError
from protect.marks.family import Array, Pixels

MAX_PSNR = 38.0


def check_psnr(psnr: float) -> None:
    """Refuse qualities that make no sense.

    Raises:
        InputError: naming the value and the allowed range.
    """
    if not 15 <= psnr <= 50:
        raise InputError(f"--psnr {psnr} is out of range", "Allowed: 15 to 50 dB.")


def add_pattern(picture: Pixels, pattern: Array, psnr: float) -> Pixels:
    """Add a pattern where the picture is not transparent, as strongly as the PSNR allows.

    Args:
        picture: RGBA, shape (H, W, 4).
        pattern: RGB offsets of root mean square 1, shape (H, W, 3).
        psnr: quality of the result, in decibels.
    """
    pattern = pattern * (picture[..., 3:] > 0)
    base = picture[..., :3].astype(np.float64)
    budget = 255 / 10 ** (psnr / 20)
    low, high = 0.0, 4 * budget  # clipping at black and white eats part of the pattern: search
    for _ in range(16):
        middle = (low + high) / 2
        error = np.clip(np.round(base + middle * pattern), 0, 255) - base
        low, high = (middle, high) if np.sqrt(np.mean(error**2)) <= budget else (low, middle)
    marked = np.clip(np.round(base + low * pattern), 0, 255).astype(np.uint8)
    return np.concatenate([marked, picture[..., 3:]], axis=2)


def shown(pattern: Array) -> Pixels:
    """A pattern on grey, amplified to a root mean square of 40 levels."""
    return np.clip(np.round(128 + 40 * pattern), 0, 255).astype(np.uint8)
