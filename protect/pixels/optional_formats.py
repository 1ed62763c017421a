"""Formats that Pillow reads only with another package. The package is imported when the first such file comes."""

from __future__ import annotations

import importlib
import struct
from functools import cache

from protect.pixels import jxl_header
from protect.pixels.error import PictureError, refuse_bomb

_HEVC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_ANY_CODEC_BRANDS = frozenset({b"mif1", b"msf1", b"mif2"})
_AV1_BRANDS = frozenset({b"avif", b"avis"})


def register(data: bytes) -> None:
    """Teach Pillow the format of this file if it needs a package.

    Raises:
        PictureError: if the package is missing; its line says what to install. Also for a JPEG XL file with too many
            pixels: its plug-in decodes all of them on opening.
    """
    if is_heic(data):
        _heif()
    elif jxl_header.is_jxl(data):
        width, height = jxl_header.size(data)
        refuse_bomb(width * height)
        _jxl()


def is_heic(data: bytes) -> bool:
    """Whether a file is an HEIF container with HEVC pictures, by its brands."""
    if data[4:8] != b"ftyp":
        return False
    (length,) = struct.unpack(">I", data[:4])
    content = data[8 : min(length, 1024)]
    brands = {content[start : start + 4] for start in range(8, len(content) - 3, 4)}
    major = data[8:12]
    return major in _HEVC_BRANDS or (major in _ANY_CODEC_BRANDS and not brands & _AV1_BRANDS)


@cache
def _heif() -> None:
    _plug_in("pillow_heif", "HEIC", "heic").register_heif_opener()


@cache
def _jxl() -> None:
    _plug_in("pillow_jxl", "JPEG XL", "jxl")


def _plug_in(module: str, name: str, extra: str):  # type: ignore[no-untyped-def]  # plug-ins differ
    try:
        return importlib.import_module(module)
    except ImportError:
        raise PictureError(f"{name} needs a further package: pip install 'tracemark[{extra}]'") from None
