"""Pictures as numbers and on pages: differences in decibels, pictures over white, squares, PNG bytes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from protect.pixels.decode import Pixels

_BLOCK = 1 << 18
"""Pixels worked on at a time."""


def psnr(reference: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two 8 bit pictures of one shape in decibels; infinite if they are equal.

    Raises:
        ValueError: if their shapes differ.
    """
    if reference.shape != other.shape:
        raise ValueError(f"pictures of shapes {reference.shape} and {other.shape} cannot be compared")
    squares = 0
    for rows in _row_blocks(reference):
        for channel in range(reference.shape[-1]):  # one after another: numpy is slow where rows of three are not dense
            difference = np.subtract(reference[rows, ..., channel], other[rows, ..., channel], dtype=np.int32)
            difference *= difference
            squares += int(difference.sum(dtype=np.int64))
    return float("inf") if squares == 0 else float(10 * np.log10(255**2 * reference.size / squares))


def on_white(picture: Pixels) -> Pixels:
    """RGBA (H, W, 4) over white, RGB (H, W, 3)."""
    if picture[..., 3].min() == 255:
        return picture[..., :3]
    seen = np.empty((*picture.shape[:2], 3), dtype=np.uint8)
    for rows in _row_blocks(picture):
        alpha = picture[rows, :, 3:].astype(np.float64) / 255
        seen[rows] = np.round(picture[rows, :, :3] * alpha + 255 * (1 - alpha))
    return seen


def picture_at(picture: Pixels, side: int) -> Pixels:
    """An RGB picture as a square, shape (side, side, 3)."""
    if picture.shape[:2] == (side, side):
        return picture
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))


def data_uri(picture: Pixels) -> str:
    """A picture for a page without external files: PNG, scaled down to 256 pixels a side."""
    image = Image.fromarray(picture)
    image.thumbnail((256, 256))
    return "data:image/png;base64," + base64.b64encode(png_bytes(np.asarray(image))).decode()


def png_bytes(picture: Pixels) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def _row_blocks(picture: Pixels) -> Iterator[slice]:
    """Slices of rows of about a quarter of a million pixels each."""
    rows = max(1, _BLOCK // max(1, picture.shape[1]))
    return (slice(top, top + rows) for top in range(0, picture.shape[0], rows))
