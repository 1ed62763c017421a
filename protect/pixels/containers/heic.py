"""HEIC of 8 bit; see `iso_pictures` for what stays and what changes. Needs the extra `heic`. Set aside: 10 bit."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from protect.pixels.containers.iso_boxes import parse
from protect.pixels.containers.iso_pictures import ItemContainer
from protect.pixels.orientation import upright

_EXAMPLE = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
"""A picture that looks different in each orientation."""
_CHROMA = {1: "420", 2: "422", 3: "444"}


class Heic(ItemContainer):
    """See the module. The encoder of pillow-heif, x265."""

    names = frozenset({"HEIF"})
    codec = b"hvc1"
    setting = b"hvcC"
    turned_by_pillow = True

    def depth_obstacle(self, setting: bytes) -> str | None:
        """See `ItemContainer.depth_obstacle`."""
        if len(setting) < 19 or setting[17] & 7 or setting[18] & 7:
            return "a depth of more than 8 bit cannot be written back"
        return None

    def encode(self, picture: Image.Image, quality: int, setting: bytes, *, quick: bool = False) -> bytes:
        """See `ItemContainer.encode`."""
        chroma = setting[16] & 3
        buffer = io.BytesIO()
        speed = {"enc_params": {"preset": "ultrafast"}} if quick else {}
        (picture.convert("L") if chroma == 0 else picture).save(
            buffer, format="HEIF", quality=quality, chroma=_CHROMA.get(chroma, "420"), **speed
        )
        return buffer.getvalue()

    def orientation(self, data: bytes, image: Image.Image) -> int:
        """See `Container.orientation`. Turns (`irot`) and mirrors (`imir`) apply in their order."""
        file = parse(data)
        picture = _EXAMPLE
        for number in file.items[file.primary].properties:
            kind, content = file.properties[number - 1].kind, file.property_content(number)
            if kind == b"irot":
                picture = np.rot90(picture, content[0] & 3)
            elif kind == b"imir":
                picture = np.flip(picture, content[0] & 1)
        return next(o for o in range(1, 9) if np.array_equal(upright(_EXAMPLE, o), picture))
