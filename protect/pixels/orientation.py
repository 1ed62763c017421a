"""The eight ways in which a picture can be stored turned or mirrored (EXIF tag 0x0112)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from protect.pixels.decode import Pixels

_TAG = 0x0112
_TRANSPOSED = frozenset({5, 6, 7, 8})
_STEPS = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""Steps along rows and columns of the upright picture: -1 where it is flipped, after the transposition if any."""


def orientation_of(image: Image.Image) -> int:
    """How a picture of Pillow must be turned to stand upright: 1 (not at all) to 8, as EXIF or XMP says.

    Metadata that cannot be read counts as 1, as it does for viewers.
    """
    try:
        value = image.getexif().get(_TAG, 1)
    except Exception:  # metadata may be broken in any way
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(stored: Pixels, orientation: int) -> Pixels:
    """A picture as stored, shape (H, W, C), turned to how people see it; a view of it.

    >>> import numpy as np
    >>> upright(np.arange(6, dtype=np.uint8).reshape(2, 3, 1), 6)[..., 0].tolist()
    [[3, 0], [4, 1], [5, 2]]
    """
    rows, columns = _STEPS[orientation]
    turned = stored.transpose(1, 0, 2) if orientation in _TRANSPOSED else stored
    return turned[::rows, ::columns]


def as_stored(picture: Pixels, orientation: int) -> Pixels:
    """The inverse of `upright`; a view."""
    rows, columns = _STEPS[orientation]
    flipped = picture[::rows, ::columns]
    return flipped.transpose(1, 0, 2) if orientation in _TRANSPOSED else flipped
