"""Pictures at reduced scale: enough for a glance, at a fraction of the cost of decoding them whole."""

from __future__ import annotations

import numpy as np

from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.measure import on_white
from protect.pixels.orientation import orientation_of, upright


def read_small(data: bytes, side: int) -> Pixels:
    """The first picture in a file as people see it, on white; a JPEG at the smallest scale that its decoder offers.

    Args:
        data: the file's bytes.
        side: neither side of a JPEG gets smaller than that; other formats keep their size.

    Returns:
        RGB of 8 bit, upright, shape (H, W, 3).

    Raises:
        PictureError: if it cannot be decoded.
    """
    with opened(data) as image:
        orientation = orientation_of(image)
        image.draft(None, (side, side))
        pixels = rgba(image)
    return on_white(np.ascontiguousarray(upright(pixels, orientation)))
