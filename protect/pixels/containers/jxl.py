"""JPEG XL of 8 bit, bare or in a container. Needs the extra `jxl`.

Kept byte for byte: all boxes but the codestream, so EXIF and XMP. Changed: the codestream; the thumbnail of EXIF. Files
coded without loss are coded so again, and unchanged pixels come back exactly; others with the quality that gives the
original pixels the original size. Set aside: turned or animated pictures, previews, colour profiles other than sRGB,
JPEG files in disguise (their reconstruction data would be lost), compressed metadata, C2PA.
"""

from __future__ import annotations

import io
import struct
from functools import cache

from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.jxl_header import boxes, is_bare, is_lossy_and_plain
from protect.pixels.measure import psnr
from protect.pixels.metadata import C2PA, xmp_obstacle
from protect.pixels.previews import exif_obstacle, with_new_previews
from protect.pixels.quality import matching_quality

_OBSTACLES = {
    b"jumb": C2PA,
    b"jbrd": "the data that turn it into a JPEG again would be lost",
    b"brob": "compressed metadata cannot be looked into",
    b"jxli": "an index of frames would break",
}
_CODESTREAM = (b"jxlc", b"jxlp")
_ONLY_PART = struct.pack(">I", 1 << 31)
_LOSSY_AT_MOST = 99
_FAITHFUL = 28.0
"""Decibels that a trial must reach: below, colours went wrong."""


class Jxl(Container):
    """See the module."""

    names = frozenset({"JXL"})

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`. Codes the picture once, to see that its colours come back."""
        found = [] if is_bare(data) else list(boxes(data))
        for box in found:
            content = data[box.content : box.end]
            reason = _OBSTACLES.get(box.kind) or (xmp_obstacle(content) if box.kind == b"xml " else None)
            if box.kind == b"Exif":
                reason = exif_obstacle(content[4 + int.from_bytes(content[:4], "big") :])
            if reason:
                return reason
        if found and found[-1].end != len(data):
            return "data after its end"
        lossy, plain = is_lossy_and_plain(data)
        if not plain or image.mode not in ("L", "RGB", "RGBA"):
            return "a turned, animated or deep JPEG XL picture cannot be written back"
        if image.info.get("icc_profile", b"") not in (b"", _usual_profile(image.mode)):
            return "its colour profile would be lost"
        before = rgba(image)
        with opened(_codestream(before, image.mode, lossless=not lossy)) as again:
            same = psnr(before, rgba(again)) >= _FAITHFUL
        return None if same else "its colours do not come back when it is coded again"

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        with opened(data) as image:
            mode, before = image.mode, rgba(image)
        if not is_lossy_and_plain(data)[0]:
            return _with_codestream(data, _codestream(pixels, mode, lossless=True), pixels)
        quality = matching_quality(lambda q: len(_lossy(before, mode, q)), _codestream_size(data))
        return _with_codestream(data, _lossy(pixels, mode, quality), pixels)


def _lossy(pixels: Pixels, mode: str, quality: int) -> bytes:
    """A lossy codestream; the encoder takes quality 100 for lossless and then refuses."""
    return _codestream(pixels, mode, quality=min(quality, _LOSSY_AT_MOST))


def _codestream(pixels: Pixels, mode: str, **options: int | bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, format="JXL", **options)
    return buffer.getvalue()


@cache
def _usual_profile(mode: str) -> bytes:
    """The profile that the plug-in gives to pictures in sRGB."""
    buffer = io.BytesIO()
    Image.new(mode, (8, 8)).save(buffer, format="JXL")
    with opened(buffer.getvalue()) as image:
        profile = image.info.get("icc_profile", b"")
        return profile if isinstance(profile, bytes) else b""


def _codestream_size(data: bytes) -> int:
    if is_bare(data):
        return len(data)
    return sum(box.end - box.content for box in boxes(data) if box.kind in _CODESTREAM)


def _with_codestream(data: bytes, codestream: bytes, pixels: Pixels) -> bytes:
    """The file with another codestream, in one piece at the place of the first."""
    if is_bare(data):
        return codestream
    pieces, written = [], False
    for box in boxes(data):
        if box.kind == b"Exif":
            pieces += [data[box.start : box.content], with_new_previews(data[box.content : box.end], pixels)]
        elif box.kind not in _CODESTREAM:
            pieces.append(data[box.start : box.end])
        elif not written:
            content = (_ONLY_PART if box.kind == b"jxlp" else b"") + codestream
            pieces += [struct.pack(">I4s", len(content) + 8, box.kind), content]
            written = True
    return b"".join(pieces)
