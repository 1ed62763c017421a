"""PNG: grey (4, 8 and 16 bit), RGB, palette, each with or without opacity.

Kept byte for byte: all chunks but image data, so texts, XMP, EXIF, ICC, gamma, density, times and unknown ones; depth,
interlacing, filters of the rows, lengths of the pieces. Changed: image data; the thumbnail of EXIF; in pictures with a
palette its colours and their opacity, never their number (`palette`); a pixel that happens to get the one transparent
colour of a picture moves by one step. Lower bits of 16 bit grey stay. Unchanged pixels come back exactly.
Set aside: 16 bit colours, four colours or fewer, animations, C2PA, Apple's index of rows.
"""

from __future__ import annotations

import io
import re
import zlib

import numpy as np
from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.containers.png_chunks import Chunk, Header, content_of, header, joined, parse, with_image_data
from protect.pixels.containers.png_scanlines import Samples, packed, packing_of, raw_rows
from protect.pixels.decode import Pixels
from protect.pixels.metadata import C2PA, tail_obstacle, xmp_obstacle
from protect.pixels.palette import in_palette
from protect.pixels.previews import exif_obstacle, has_previews, with_new_previews

_XMP = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
_LIMIT = 1 << 26
"""Bytes that a compressed text may have."""
_FEW = 4


class Png(Container):
    """See the module."""

    names = frozenset({"PNG"})

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`."""
        chunks, tail = parse(data)
        if content_of(chunks, b"caBX") is not None:
            return C2PA
        if content_of(chunks, b"iDOT") is not None:
            return "Apple's index of its rows (iDOT) would break"
        if content_of(chunks, b"fdAT") is not None:
            return "animated"
        reason = _colour_obstacle(header(chunks), chunks) or exif_obstacle(content_of(chunks, b"eXIf") or b"")
        reason = reason or next(filter(None, map(_text_obstacle, chunks)), None) or tail_obstacle(tail)
        if reason is None:
            raw_rows(header(chunks), _coded(chunks))
        return reason

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        chunks, tail = parse(data)
        head, coded = header(chunks), _coded(chunks)
        raw = raw_rows(head, coded)
        samples, colours = _samples(head, chunks, data, pixels)
        new = packed(head, samples, raw, packing_of(coded, raw))
        kept = [colours.get(chunk.kind, chunk) for chunk in chunks]
        if b"tRNS" in colours and content_of(chunks, b"tRNS") is None:
            kept.insert(next(n for n, c in enumerate(kept) if c.kind == b"PLTE") + 1, colours[b"tRNS"])
        kept = [_with_preview(chunk, pixels) for chunk in kept]
        return joined(list(with_image_data(kept, new)), tail)


def _coded(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.content for chunk in chunks if chunk.kind == b"IDAT")


def _colour_obstacle(head: Header, chunks: list[Chunk]) -> str | None:
    if head.depth == 16 and head.colour != 0:
        return "colours of 16 bit cannot be written back"
    if head.depth == 16 and content_of(chunks, b"tRNS") is not None:
        return "a transparent shade of 16 bit cannot be written back"
    count = len(content_of(chunks, b"PLTE") or b"") // 3 if head.colour == 3 else 1 << head.depth
    if count <= _FEW:
        return f"it has {count} colours at most"
    return None


def _text_obstacle(chunk: Chunk) -> str | None:
    if chunk.kind not in (b"tEXt", b"zTXt", b"iTXt"):
        return None
    name, _, rest = chunk.content.partition(b"\0")
    if name == _XMP:
        return xmp_obstacle(_text(chunk.kind, rest))
    if name.startswith(_RAW_PROFILE):
        profile = re.sub(rb"^\s*\S+\s+\d+\s", b"", _text(chunk.kind, rest))
        digits = re.sub(rb"[^0-9a-fA-F]", b"", profile)
        block = bytes.fromhex(digits[: len(digits) & ~1].decode("ascii"))
        return xmp_obstacle(block) or ("a preview in its texts cannot be replaced" if has_previews(block) else None)
    return None


def _text(kind: bytes, rest: bytes) -> bytes:
    """The text of a chunk, after its keyword and the zero that ends it."""
    if kind == b"tEXt":
        return rest
    compressed = kind == b"zTXt" or rest[:1] == b"\1"
    if kind == b"iTXt":
        rest = b"\0" + rest[2:].split(b"\0", 2)[-1]
    if not compressed:
        return rest[1:]
    try:
        return zlib.decompressobj().decompress(rest[1:], _LIMIT)
    except zlib.error:  # a text that nobody can read shows nothing
        return b""


def _with_preview(chunk: Chunk, pixels: Pixels) -> Chunk:
    return Chunk(chunk.kind, with_new_previews(chunk.content, pixels)) if chunk.kind == b"eXIf" else chunk


def _samples(head: Header, chunks: list[Chunk], data: bytes, pixels: Pixels) -> tuple[Samples, dict[bytes, Chunk]]:
    """Numbers as stored, shape (H, W, channels), and the chunks of colours that change with them."""
    if head.colour == 3:
        return _palette_samples(chunks, pixels)
    if head.colour in (0, 4):
        grey = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        if head.depth == 16:
            return _deep_grey(data, grey), {}
        if head.depth == 4:
            grey = ((grey.astype(np.uint16) * 15 + 127) // 255).astype(np.uint8)
        if head.colour == 4:
            return np.concatenate([grey, pixels[..., 3:]], axis=2), {}
        return _with_clear_colour(grey, pixels[..., 3], content_of(chunks, b"tRNS")), {}
    if head.colour == 6:
        return pixels, {}
    return _with_clear_colour(pixels[..., :3], pixels[..., 3], content_of(chunks, b"tRNS")), {}


def _deep_grey(data: bytes, grey: Pixels) -> Samples:
    """Grey of 16 bit, shape (H, W, 1): the upper eight bits are new, the lower eight stay."""
    with Image.open(io.BytesIO(data)) as image:
        before = np.asarray(image).astype(np.uint16)[..., None]
    return (before & np.uint16(0xFF)) | (grey.astype(np.uint16) << np.uint16(8))


def _with_clear_colour(samples: Pixels, opacity: Pixels, clear: bytes | None) -> Pixels:
    """Numbers, shape (H, W, channels), in which the one transparent colour stands where pixels are transparent."""
    if clear is None:
        return samples
    colour = np.frombuffer(clear, dtype=">u2").astype(np.uint8)
    transparent = opacity < 128
    clash = (samples == colour).all(axis=2) & ~transparent
    samples = samples.copy()
    samples[clash, -1] ^= 1
    samples[transparent] = colour
    return samples


def _palette_samples(chunks: list[Chunk], pixels: Pixels) -> tuple[Pixels, dict[bytes, Chunk]]:
    colours = np.frombuffer(content_of(chunks, b"PLTE") or b"", dtype=np.uint8).reshape(-1, 3)
    opacity = content_of(chunks, b"tRNS") or b""
    palette = np.full((len(colours), 4), 255, dtype=np.uint8)
    palette[:, :3] = colours
    palette[: len(opacity), 3] = np.frombuffer(opacity[: len(palette)], dtype=np.uint8)
    numbers, new = in_palette(pixels, palette)
    if np.array_equal(new, palette):
        return numbers[..., None], {}
    changed = {b"PLTE": Chunk(b"PLTE", new[:, :3].tobytes())}
    seen_through = np.flatnonzero(new[:, 3] < 255)
    length = max(len(opacity), int(seen_through[-1]) + 1 if len(seen_through) else 0)
    if length:
        changed[b"tRNS"] = Chunk(b"tRNS", new[:length, 3].tobytes())
    return numbers[..., None], changed
