"""Pictures that others made, as files: decoded within bounds, over white, upright."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protect.pixels.decode import opened
from protect.pixels.error import PictureError
from protect.pixels.measure import on_white
from protect.pixels.picture import pixel_count, read_rgba

MOST_PIXELS = 1 << 25
"""Of one answer: twice what the largest services draw."""
_LOSSY = frozenset({"JPEG", "MPO", "JPEG2000", "AVIF", "HEIF", "JXL"})
_WEBP_LOSSY = b"VP8 "


def read_answer(data: bytes) -> tuple[NDArray[np.uint8], bool]:
    """A picture file as people see it.

    Args:
        data: of any format that Pillow reads without starting another program.

    Returns:
        RGB over white, shape (H, W, 3), and whether its format loses detail (JPEG, WebP, AVIF, HEIC, JPEG XL).

    Raises:
        PictureError: if it is no picture, damaged, or has more than `MOST_PIXELS`.
    """
    if (pixels := pixel_count(data)) > MOST_PIXELS:
        raise PictureError(f"{pixels:,} pixels, more than {MOST_PIXELS:,}")
    with opened(data) as image:
        form = image.format or ""
    return on_white(read_rgba(data)), form in _LOSSY or (form == "WEBP" and _WEBP_LOSSY in data[:64])
