"""Picture files as bytes: reading any, and writing back those that can be, with other pixels and all else kept."""

from __future__ import annotations

import numpy as np
from PIL import Image

from protect.pixels import jxl_header
from protect.pixels.containers.registry import container_of
from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.error import PictureError
from protect.pixels.orientation import as_stored, orientation_of, upright

__all__ = ["PictureError", "obstacle", "pixel_count", "read_rgba", "rewrite"]

_MOVING = frozenset({"GIF", "PNG", "WEBP", "AVIF"})


def read_rgba(data: bytes) -> Pixels:
    """The first picture in a file, as people see it.

    Args:
        data: the file's bytes, of any format that Pillow reads (HEIC and JPEG XL with the extras `heic` and `jxl`).

    Returns:
        RGBA of 8 bit, shape (H, W, 4), turned upright as EXIF says. Colours are not converted by ICC profiles.

    Raises:
        PictureError: if it is no picture, damaged, or has more pixels than Pillow's limit.
    """
    with opened(data) as image:
        pixels = rgba(image)
        orientation = orientation_of(image)
    return np.ascontiguousarray(upright(pixels, orientation))


def obstacle(data: bytes, *, decoded: bool = False) -> str | None:
    """Why a file cannot be written back with other pixels, or None.

    Depends on the file alone, never on a mark.

    Args:
        data: the file's bytes.
        decoded: whether `read_rgba` has decoded it whole already; else that is done here.
    """
    try:
        with opened(data) as image:
            size, reason = image.size, _unsupported(data, image)
            if reason is None and not decoded:
                image.load()
                if image.size != size:
                    reason = "cannot be decoded (its size is not what its header says)"
    except PictureError as error:
        return error.what
    return reason


def rewrite(data: bytes, pixels: Pixels) -> bytes:
    """The file with other pixels; what else changes stands in the module of its format in `protect.pixels.containers`.

    Args:
        data: a file without `obstacle`.
        pixels: RGBA of 8 bit, upright, shape (H, W, 4), of the size that `read_rgba` gives.

    Raises:
        PictureError: if the file has an obstacle after all.
        ValueError: if the size differs.
    """
    with opened(data) as image:
        container = container_of(image.format)
        if container is None:
            raise PictureError(_foreign(image))
        orientation = container.orientation(data, image)
        size = (image.height, image.width)
    stored = as_stored(pixels, orientation)
    if (pixels if container.turned_by_pillow else stored).shape != (*size, 4):
        raise ValueError(f"pixels of shape {pixels.shape} do not fit a picture stored as {size[1]}x{size[0]}")
    return container.rewrite(data, np.ascontiguousarray(stored))


def pixel_count(data: bytes) -> int:
    """How many pixels a file has, from its header; 0 if unknown. Decodes nothing."""
    if jxl_header.is_jxl(data):
        width, height = jxl_header.size(data)
        return width * height
    try:
        with opened(data) as image:
            return image.width * image.height
    except PictureError:
        return 0


def _unsupported(data: bytes, image: Image.Image) -> str | None:
    container = container_of(image.format)
    if container is None:
        return _foreign(image)
    if not container.many_frames and getattr(image, "n_frames", 1) > 1:
        return "animated" if image.format in _MOVING else "several pictures in one file"
    return container.obstacle(data, image)


def _foreign(image: Image.Image) -> str:
    return f"format {image.format} cannot be written back unchanged"
