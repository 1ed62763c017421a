"""Reading and writing carriers: what is not the mark stays (format, mode, size, EXIF, ICC, JPEG tables)."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from protect.marks.interface import Pixels

MAX_PIXELS = 178_956_970
"""Pictures with more pixels are set aside: Pillow's own limit against decompression bombs."""

_MODES = frozenset({"L", "LA", "RGB", "RGBA", "P"})
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
        return f"more than {MAX_PIXELS:,} pixels"
    except UnidentifiedImageError:
        return "not a picture"
    except (OSError, SyntaxError, ValueError) as error:
        return f"cannot be decoded ({error})"
    return reason


def _unsupported(picture: Image.Image, min_side: int) -> str | None:
    if picture.format not in _FORMATS:
        return f"format {picture.format} cannot be written back unchanged"
    if getattr(picture, "n_frames", 1) > 1:
        return "animated"
    if picture.mode not in _MODES:
        return f"colour mode {picture.mode}"
    if min(picture.size) < min_side:
        return f"{picture.width}x{picture.height} is smaller than {min_side} pixels"
    return None


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
        File bytes of the same format; alpha is kept where the original had it, palettes become RGB(A).
    """
    with Image.open(source) as original:
        mode = _target_mode(original)
        marked = Image.fromarray(pixels, "RGBA").convert(mode)
        buffer = io.BytesIO()
        marked.save(buffer, format=original.format, **_save_options(original))
    return buffer.getvalue()


def _target_mode(original: Image.Image) -> str:
    if original.mode == "P":
        return "RGBA" if "transparency" in original.info else "RGB"
    return original.mode


def _save_options(original: Image.Image) -> dict[str, Any]:
    kept = ("icc_profile", "exif", "dpi")
    options: dict[str, Any] = {key: original.info[key] for key in kept if original.info.get(key)}
    if isinstance(original, JpegImagePlugin.JpegImageFile):
        options["qtables"] = original.quantization
        options["progressive"] = bool(original.info.get("progressive"))
        if original.mode == "RGB":
            options["subsampling"] = JpegImagePlugin.get_sampling(original)
    elif original.format == "WEBP":
        options |= {"lossless": True, "exact": True}
    return options


def psnr(reference: Pixels, other: Pixels) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures in decibels; infinite if they are equal."""
    error = np.mean((reference.astype(np.float64) - other.astype(np.float64)) ** 2)
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
