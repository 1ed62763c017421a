"""Reading and writing carriers: what is not the mark stays (format, mode, size, EXIF, ICC, JPEG tables)."""

from __future__ import annotations

import base64
import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

if TYPE_CHECKING:  # some families need this module
    from protect.marks.family import Pixels

_MODES = frozenset({"L", "LA", "RGB", "RGBA"})
_ORIENTATION = 0x0112
_COLOUR_CHUNKS = frozenset({b"gAMA", b"sRGB", b"cHRM"})
_FORMATS = frozenset({"JPEG", "PNG", "WEBP", "BMP"})


def obstacle(path: Path, min_side: int) -> str | None:
    """Why a picture cannot carry a mark, or None if it can; decodes the whole picture.

    Depends on the file alone, never on a mark.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as picture:
                reason = _unsupported(picture, min_side)
                if reason is None:
                    picture.load()
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels (a decompression bomb?)"
    except UnidentifiedImageError:
        return "not a picture"
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be decoded ({error})"
    return reason


def _unsupported(picture: Image.Image, min_side: int) -> str | None:
    if getattr(picture, "n_frames", 1) > 1 and picture.format in {"GIF", "PNG", "WEBP"}:
        return "animated"
    if picture.format not in _FORMATS:
        return f"format {picture.format} cannot be written back unchanged"
    if picture.mode not in _MODES:
        return f"colour mode {picture.mode}"
    if lost := _lost_on_saving(picture):
        return f"{lost} would be lost"
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        return "rotated by its EXIF orientation"
    if picture.format == "WEBP" and not _lossless_webp(picture):
        return "lossy WebP cannot be written back with the same settings"
    if min(picture.size) < min_side:
        return f"{picture.width}x{picture.height} is smaller than {min_side} pixels"
    return None


def _lossless_webp(picture: Image.Image) -> bool:
    """Whether the first picture chunk is lossless: walks the RIFF chunks, colour profiles come before it."""
    with Path(str(picture.filename)).open("rb") as file:  # type: ignore[attr-defined]
        file.seek(12)
        while len(header := file.read(8)) == 8:
            if header[:4] in (b"VP8L", b"VP8 "):
                return header[:4] == b"VP8L"
            length = int.from_bytes(header[4:], "little")
            file.seek(length + length % 2, 1)
    return False


def _lost_on_saving(picture: Image.Image) -> str:
    """What of a picture Pillow reads but does not write back; empty if nothing."""
    if picture.format == "PNG":
        with Path(str(picture.filename)).open("rb") as file:  # type: ignore[attr-defined]
            depth = file.read(25)[24]
        if depth > 8:
            return f"the depth of {depth} bits"
        if "transparency" in picture.info:
            return "its transparent colour"
    if picture.format == "BMP" and picture.info.get("compression", 0) != 0:
        return "its compression"
    return ""


def read_rgba(path: Path) -> Pixels:
    """A picture as RGBA, shape (H, W, 4); pixels as stored, EXIF orientation not applied."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))


def rewrite_pixels(source: Path, pixels: Pixels) -> bytes:
    """The file `source` with other pixels.

    Args:
        source: a picture for which `obstacle` is None.
        pixels: RGBA, shape (H, W, 4), of the same size.

    Returns:
        File bytes of the same format and mode. Embedded thumbnails are not carried over.
    """
    with Image.open(source) as original:
        marked = Image.fromarray(pixels, "RGBA").convert(original.mode)
        buffer = io.BytesIO()
        marked.save(buffer, format=original.format, **_save_options(original))
    return buffer.getvalue()


def _save_options(original: Image.Image) -> dict[str, Any]:
    kept = ("icc_profile", "exif", "dpi")
    options: dict[str, Any] = {key: original.info[key] for key in kept if original.info.get(key)}
    if isinstance(original, JpegImagePlugin.JpegImageFile):
        options["qtables"] = original.quantization
        options["progressive"] = bool(original.info.get("progressive"))
        options["comment"] = original.info.get("comment", b"")
        if original.mode == "RGB":
            options["subsampling"] = JpegImagePlugin.get_sampling(original)
    elif isinstance(original, PngImagePlugin.PngImageFile):
        options["pnginfo"] = _png_chunks(original)
    elif original.format == "WEBP":
        options |= {"lossless": True, "exact": True}
    return options


def _png_chunks(original: PngImagePlugin.PngImageFile) -> PngImagePlugin.PngInfo:
    """The text and colour chunks of a PNG."""
    chunks = PngImagePlugin.PngInfo()
    with Path(str(original.filename)).open("rb") as file:
        file.seek(8)
        while len(header := file.read(8)) == 8 and header[4:] != b"IDAT":
            length = int.from_bytes(header[:4], "big")
            if header[4:] in _COLOUR_CHUNKS:
                chunks.add(header[4:], file.read(length))
                length = 0
            file.seek(length + 4, 1)
    for name, text in original.text.items():
        if isinstance(text, PngImagePlugin.iTXt):
            chunks.add_itxt(name, text, text.lang or "", text.tkey or "")
        else:
            chunks.add_text(name, text)
    return chunks


def psnr(reference: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures in decibels; infinite if they are equal."""
    error = np.mean((reference.astype(np.int32) - other) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


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
