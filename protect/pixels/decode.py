"""Decoding safely: whatever bytes come in, pixels or a `PictureError` come out, never a warning or another error."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from protect.pixels import optional_formats
from protect.pixels.error import PictureError, bomb, refuse_bomb

Pixels = NDArray[np.uint8]

_UNSAFE = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "FPX", "MIC", "MPEG"})
"""Formats of Pillow that start other programs, or that only name a file without decoding it."""
_SIGNATURES = (
    ("JPEG", b"\xff\xd8\xff", 0),
    ("PNG", b"\x89PNG\r\n", 0),
    ("WebP", b"WEBP", 8),
    ("GIF", b"GIF8", 0),
    ("TIFF", b"II*\0", 0),
    ("TIFF", b"MM\0*", 0),
    ("AVIF or HEIC", b"ftyp", 4),
)
"""Formats by their first bytes, for files that Pillow does not recognise."""
_STRIP_PIXELS = 1 << 20
_DEEP_GREY = frozenset({"I", "I;16", "I;16B", "I;16L", "I;16N"})


@contextmanager
def opened(data: bytes) -> Iterator[ImageFile.ImageFile]:
    """A picture whose header is read. Errors inside the block become `PictureError`: keep only decoding there.

    Raises:
        PictureError: if it is no picture, too large or cannot be decoded.
    """
    with _silenced(), _plain_errors(data):
        optional_formats.register(data)
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            refuse_bomb(image.width * image.height)
            yield image


def rgba(image: Image.Image) -> Pixels:
    """The picture as 8 bit RGBA, shape (H, W, 4), as stored. Needs 4 bytes a pixel beyond Pillow's own copy.

    Numbers of 16 bit are divided by 256.

    Raises:
        PictureError: if its numbers have no known range.
    """
    image.load()
    if image.mode == "F":
        raise PictureError("cannot be decoded (floating-point numbers of unknown range)")
    width, height = image.size
    pixels = np.empty((height, width, 4), dtype=np.uint8)
    rows = max(1, _STRIP_PIXELS // max(1, width))
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = _strip_rgba(strip)
    return pixels


def _strip_rgba(strip: Image.Image) -> Pixels:
    if strip.mode in _DEEP_GREY:
        grey = np.clip(np.asarray(strip).astype(np.int64) >> 8, 0, 255).astype(np.uint8)
        strip = Image.fromarray(grey)
    return np.asarray(strip if strip.mode == "RGBA" else strip.convert("RGBA"))


def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in Image.ID if name not in _UNSAFE)


@contextmanager
def _plain_errors(data: bytes) -> Iterator[None]:
    """Decoders raise anything on damaged bytes, from KeyError to a panic of Rust, which is no `Exception`."""
    try:
        yield
    except (PictureError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except Image.DecompressionBombError:
        raise bomb() from None
    except UnidentifiedImageError:
        raise _unidentified(data) from None
    except MemoryError:
        raise PictureError("cannot be decoded (not enough memory)") from None
    except BaseException as error:
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise PictureError(f"cannot be decoded ({text})") from None


def _unidentified(data: bytes) -> PictureError:
    name = next((name for name, start, place in _SIGNATURES if data.startswith(start, place)), None)
    return PictureError(f"cannot be decoded (damaged or unknown kind of {name})" if name else "not a picture")


_lock = threading.Lock()
_depth = 0
_quiet = ExitStack()


@contextmanager
def _silenced() -> Iterator[None]:
    """Hide the warnings of Pillow and its plug-ins while any thread decodes.

    `warnings.catch_warnings` alone is not safe among threads: the last one to leave must restore the filters.
    """
    global _depth
    with _lock:
        if _depth == 0:
            _quiet.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", module=r"(PIL|pillow_heif|pillow_jxl)\b")
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _quiet.close()
