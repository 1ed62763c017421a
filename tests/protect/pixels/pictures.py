"""Pictures and files made on the spot."""

from __future__ import annotations

import io
import struct
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from protect.pixels.picture import read_rgba

Pixels = NDArray[np.uint8]
ORIENTATION = 0x0112


def photo(width: int = 160, height: int = 120, seed: int = 0) -> Image.Image:
    """Something like a photograph: soft areas, edges and some grain."""
    rng = np.random.default_rng(seed)
    soft = ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (9, 9, 0), mode="wrap")
    edges = ndimage.gaussian_filter(rng.normal(size=(height, width, 1)), (5, 5, 0), mode="wrap") > 0
    picture = 128 + 600 * soft + 40 * edges + rng.normal(0, 2, size=(height, width, 3))
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def translucent(seed: int = 0) -> Image.Image:
    """The same with a clear corner and a half-clear band."""
    pixels = np.asarray(photo(seed=seed).convert("RGBA")).copy()
    pixels[:30, :30, 3] = 0
    pixels[60:80, :, 3] = 120
    return Image.fromarray(pixels)


def file_of(image: Image.Image, form: str, **options: object) -> bytes:
    """A file as Pillow or a plug-in writes it."""
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    if form == "JXL":
        import pillow_jxl  # noqa: F401
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save(buffer, format=form, **options)
    return buffer.getvalue()


def painted(data: bytes) -> Pixels:
    """The pixels of a file, upright, with a bright patch of less contrast."""
    pixels = read_rgba(data).copy()
    patch = pixels[10:40, 12:50, :3].astype(np.float64)
    pixels[10:40, 12:50, :3] = np.clip(0.6 * patch + 110, 0, 255)
    return pixels


def exif_with_thumbnail(thumbnail: bytes, *, orientation: int = 1, maker_note: bytes = b"MAKER note \1\2\3") -> bytes:
    """EXIF data in both directories, without a prefix: orientation, maker note, and a JPEG thumbnail."""
    zeroth_at, exif_at = 8, 8 + 2 + 2 * 12 + 4
    first_at = exif_at + 2 + 12 + 4
    note_at = first_at + 2 + 3 * 12 + 4
    thumbnail_at = note_at + len(maker_note)
    zeroth = _directory(
        [(0x0112, 3, 1, struct.pack("<HH", orientation, 0)), (0x8769, 4, 1, struct.pack("<I", exif_at))], first_at
    )
    exif = _directory([(0x927C, 7, len(maker_note), struct.pack("<I", note_at))], 0)
    first = _directory(
        [
            (0x0103, 3, 1, struct.pack("<HH", 6, 0)),
            (0x0201, 4, 1, struct.pack("<I", thumbnail_at)),
            (0x0202, 4, 1, struct.pack("<I", len(thumbnail))),
        ],
        0,
    )
    return struct.pack("<2sHI", b"II", 42, zeroth_at) + zeroth + exif + first + maker_note + thumbnail


def thumbnail_in(exif: bytes) -> Pixels:
    """The thumbnail of `exif_with_thumbnail`, RGB."""
    start = exif.rindex(b"\xff\xd8\xff")
    with Image.open(io.BytesIO(exif[start:])) as image:
        return np.asarray(image.convert("RGB"))


def jpeg_with(data: bytes, *segments: tuple[int, bytes]) -> bytes:
    """A JPEG with further segments behind its start."""
    added = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    return data[:2] + added + data[2:]


def _directory(entries: list[tuple[int, int, int, bytes]], following: int) -> bytes:
    rows = b"".join(struct.pack("<HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return struct.pack("<H", len(entries)) + rows + struct.pack("<I", following)
