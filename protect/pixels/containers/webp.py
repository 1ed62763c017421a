"""WebP, lossy and lossless.

Kept byte for byte: all chunks but those of the picture, so ICC, EXIF, XMP and unknown ones, and their order. Changed:
the picture; the thumbnail of EXIF. Lossless files are coded without loss, and unchanged pixels come back exactly. A
lossy file does not say its quality: the picture is coded with the quality that gives the original pixels the original
size (about 39 dB at quality 50, 41 at 75, 44 at 90: the cost of saving once more). Set aside: animations, C2PA.
"""

from __future__ import annotations

import io

from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.containers.riff import OPACITY, Chunk, joined, parse
from protect.pixels.decode import Pixels, opened, rgba
from protect.pixels.metadata import C2PA, tail_obstacle, xmp_obstacle
from protect.pixels.previews import exif_obstacle, with_new_previews
from protect.pixels.quality import matching_quality

_PICTURE = frozenset({b"VP8 ", b"VP8L", OPACITY})
_ALPHA_FLAG = 0x10
_EXIF_PREFIX = b"Exif\0\0"


class Webp(Container):
    """See the module."""

    names = frozenset({"WEBP"})

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`."""
        chunks, tail = parse(data)
        kinds = {chunk.kind for chunk in chunks}
        if b"C2PA" in kinds:
            return C2PA
        if kinds & {b"ANIM", b"ANMF"}:
            return "animated"
        for chunk in chunks:
            if chunk.kind == b"EXIF" and (reason := exif_obstacle(chunk.content.removeprefix(_EXIF_PREFIX))):
                return reason
            if chunk.kind == b"XMP " and (reason := xmp_obstacle(chunk.content)):
                return reason
        return tail_obstacle(tail)

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        chunks, tail = parse(data)
        new = _coded_like(data, chunks, pixels)
        translucent = any(chunk.kind == OPACITY for chunk in new) or _lossless_with_opacity(new)
        extended = chunks[0].kind == b"VP8X"
        if not extended and any(chunk.kind == OPACITY for chunk in new):
            size = (pixels.shape[1] - 1).to_bytes(3, "little") + (pixels.shape[0] - 1).to_bytes(3, "little")
            new = [Chunk(b"VP8X", bytes((_ALPHA_FLAG, 0, 0, 0)) + size), *new]
        kept = _with_picture(chunks, new)
        return joined([_adapted(chunk, translucent, pixels) for chunk in kept], tail)


def _coded_like(data: bytes, chunks: list[Chunk], pixels: Pixels) -> list[Chunk]:
    """The chunks of the picture, coded as the original was."""
    if any(chunk.kind == b"VP8L" for chunk in chunks):
        return _picture_chunks(_image(pixels), lossless=True, exact=True)
    with opened(data) as image:
        original = _image(rgba(image))
    size = sum(len(chunk.content) for chunk in chunks if chunk.kind == b"VP8 ")
    quality = matching_quality(lambda q: _lossy_size(_picture_chunks(original, quality=q)), size)
    return _picture_chunks(_image(pixels), quality=quality)


def _image(pixels: Pixels) -> Image.Image:
    """Without opacity if all is opaque, so that none is coded."""
    image = Image.fromarray(pixels)
    return image.convert("RGB") if pixels[..., 3].min() == 255 else image


def _picture_chunks(image: Image.Image, **options: int | bool) -> list[Chunk]:
    buffer = io.BytesIO()
    image.save(buffer, format="WEBP", **options)
    return [chunk for chunk in parse(buffer.getvalue())[0] if chunk.kind in _PICTURE]


def _lossy_size(chunks: list[Chunk]) -> int:
    return sum(len(chunk.content) for chunk in chunks if chunk.kind == b"VP8 ")


def _lossless_with_opacity(chunks: list[Chunk]) -> bool:
    """Whether a lossless picture says that it has opacity (bit 28 of its header)."""
    return any(chunk.kind == b"VP8L" and bool(chunk.content[4] & 0x10) for chunk in chunks)


def _with_picture(chunks: list[Chunk], new: list[Chunk]) -> list[Chunk]:
    """The chunks with another picture at the place of the old."""
    place = next(n for n, chunk in enumerate(chunks) if chunk.kind in _PICTURE)
    after = [chunk for chunk in chunks[place:] if chunk.kind not in _PICTURE]
    return [*chunks[:place], *new, *after]


def _adapted(chunk: Chunk, translucent: bool, pixels: Pixels) -> Chunk:
    """A chunk with its flag of opacity and its thumbnail put right."""
    if chunk.kind == b"EXIF":
        return Chunk(chunk.kind, with_new_previews(chunk.content, pixels))
    if chunk.kind == b"VP8X" and chunk.content:
        flags = chunk.content[0] & ~_ALPHA_FLAG | (_ALPHA_FLAG if translucent else 0)
        return Chunk(chunk.kind, bytes((flags,)) + chunk.content[1:])
    return chunk
