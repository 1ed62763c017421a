"""Small JPEG pictures inside metadata, which show the picture before it changed.

EXIF thumbnails, previews of maker notes and thumbnails of Photoshop are all JPEG files inside a larger block. Each is
replaced in place by one of the new pixels, of the same width, height and length, so that nothing else moves.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import numpy as np
from PIL import Image

from protect.pixels.containers.jpeg_coding import coding_obstacle, recoded
from protect.pixels.containers.jpeg_segments import JpegFile, parse
from protect.pixels.containers.tiff_directory import directory, first_directory
from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.error import PictureError

_SIGNATURE = re.compile(rb"\xff\xd8\xff[\xc0-\xc4\xdb\xdd\xe0-\xef\xfe]")
_PHOTOSHOP_4_THUMBNAIL = b"8BIM\x04\x09"
_STRIP_OFFSETS = 0x0111
_QUALITIES = (75, 50, 30, 15, 5, 1)
_SAME_SHAPE = 1.5
"""Pixels by which a preview may miss the picture's shape; beyond, it has black bars, as of cameras."""


def preview_obstacle(block: bytes) -> str | None:
    """Why the previews in a block of metadata cannot be replaced, or None; also if there are none."""
    if _PHOTOSHOP_4_THUMBNAIL in block:
        return "an old thumbnail of Photoshop cannot be replaced"
    for start, end in _spans(block):
        try:
            fits = end > 0 and len(_flat(*_frame_of(block[start:end]))) <= end - start
        except PictureError:
            fits = False
        if not fits:
            return "a preview in its metadata cannot be replaced"
    return None


def exif_obstacle(exif: bytes) -> str | None:
    """Like `preview_obstacle`, for EXIF data that begin with their byte order: their thumbnail may be no JPEG."""
    if reason := preview_obstacle(exif):
        return reason
    try:
        first = first_directory(exif)
        second = directory(exif, first.order, first.following) if first.following else None
    except PictureError:  # data that nobody can read show nothing
        return None
    if second is not None and _STRIP_OFFSETS in second.entries:
        return "an uncompressed EXIF thumbnail cannot be replaced"
    return None


def has_previews(block: bytes) -> bool:
    """Whether a block of metadata holds a JPEG file, whole or damaged."""
    return next(_spans(block), None) is not None


def with_new_previews(block: bytes, pixels: Pixels) -> bytes:
    """A block of metadata, of the same length, whose previews show other pixels.

    Args:
        block: metadata without obstacle.
        pixels: RGBA as stored, shape (H, W, 4), contiguous.
    """
    changed = bytearray(block)
    for start, end in _spans(block):
        changed[start:end] = _replaced(block[start:end], pixels)
    return bytes(changed)


def shrunk(pixels: Pixels, width: int, height: int) -> Pixels:
    """A picture made to fit a frame, RGB, shape (height, width, 3); between black bars if the shapes differ."""
    image = Image.fromarray(pixels).convert("RGB")
    scale = min(width / image.width, height / image.height)
    inner = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    if width - inner[0] < _SAME_SHAPE and height - inner[1] < _SAME_SHAPE:
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS))
    frame = Image.new("RGB", (width, height))
    frame.paste(image.resize(inner, Image.Resampling.LANCZOS), ((width - inner[0]) // 2, (height - inner[1]) // 2))
    return np.asarray(frame)


def _spans(block: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of every JPEG file in a block; end 0 for one that cannot be followed to its end."""
    position = 0
    while found := _SIGNATURE.search(block, position):
        start = found.start()
        try:
            file = parse(block, start)
        except PictureError:
            yield start, 0
            position = start + 2
            continue
        end = len(block) - len(file.tail)
        whole = file.scans.endswith(b"\xff\xd9")
        yield start, end if whole else 0
        position = end


def _frame_of(preview: bytes) -> tuple[int, int, str]:
    """Width, height and mode.

    Raises:
        PictureError: if it cannot be decoded or coded again.
    """
    if reason := coding_obstacle(parse(preview)):
        raise PictureError(reason)
    with opened(preview) as image:
        rgba(image)
        return image.width, image.height, image.mode


def _replaced(preview: bytes, pixels: Pixels) -> bytes:
    width, height, mode = _frame_of(preview)
    small = shrunk(pixels, width, height)
    for candidate in _candidates(parse(preview), small, mode):
        if len(candidate) <= len(preview):
            return candidate[:-2] + b"\xff" * (len(preview) - len(candidate)) + candidate[-2:]
    raise PictureError("a preview in its metadata cannot be replaced")


def _candidates(file: JpegFile, small: Pixels, mode: str) -> Iterator[bytes]:
    """New previews, from the one most like the old to the shortest possible."""
    yield bytes(recoded(file, small))
    for quality in _QUALITIES:
        yield _jpeg(Image.fromarray(small).convert(mode), quality)
    yield _flat(small.shape[1], small.shape[0], mode)


def _flat(width: int, height: int, mode: str) -> bytes:
    """The shortest preview of a size: grey all over."""
    return _jpeg(Image.new(mode, (width, height), 0x808080 if mode == "RGB" else 0x80), 1)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, optimize=True)
    return buffer.getvalue()
