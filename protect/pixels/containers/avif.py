"""AVIF of 8 bit; see `iso_pictures` for what stays and what changes. Set aside: 10 and 12 bit, animations."""

from __future__ import annotations

import io

from PIL import Image

from protect.pixels.containers.iso_pictures import ItemContainer

_HIGH_DEPTH, _MONOCHROME, _HALF_WIDTH, _HALF_HEIGHT = 0x40, 0x10, 0x08, 0x04


class Avif(ItemContainer):
    """See the module. Pillow's encoder."""

    names = frozenset({"AVIF"})
    codec = b"av01"
    setting = b"av1C"

    def depth_obstacle(self, setting: bytes) -> str | None:
        """See `ItemContainer.depth_obstacle`."""
        if len(setting) < 3 or setting[2] & _HIGH_DEPTH:
            return "a depth of more than 8 bit cannot be written back"
        return None

    def encode(self, picture: Image.Image, quality: int, setting: bytes, *, quick: bool = False) -> bytes:
        """See `ItemContainer.encode`. One thread, since the number of threads changes the bytes."""
        grey = bool(setting[2] & _MONOCHROME)
        buffer = io.BytesIO()
        (picture.convert("L") if grey else picture).save(
            buffer,
            format="AVIF",
            quality=quality,
            subsampling="4:0:0" if grey else _subsampling(setting),
            speed=10 if quick else 6,
            max_threads=1,
        )
        return buffer.getvalue()


def _subsampling(setting: bytes) -> str:
    if not setting[2] & _HALF_WIDTH:
        return "4:4:4"
    return "4:2:0" if setting[2] & _HALF_HEIGHT else "4:2:2"
