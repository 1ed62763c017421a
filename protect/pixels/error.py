"""The refusal of one picture."""

from __future__ import annotations

from PIL import Image

from protect.errors import InputError


class PictureError(InputError):
    """A picture that cannot be read, or not be written back; says why in plain words."""


def bomb() -> PictureError:
    """The refusal of a picture with too many pixels."""
    return PictureError(f"more than {Image.MAX_IMAGE_PIXELS:,} pixels (a decompression bomb?)")


def refuse_bomb(pixels: int) -> None:
    """Refuse a picture above Pillow's own limit.

    Raises:
        PictureError: if there are more pixels than `Image.MAX_IMAGE_PIXELS`.
    """
    if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
        raise bomb()
