"""The chunks of a PNG file (W3C PNG, third edition), so that some can be exchanged and the others stay as they are."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protect.pixels.error import PictureError

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk; its checksum is made when it is written."""

    kind: bytes
    content: bytes

    def __bytes__(self) -> bytes:
        body = self.kind + self.content
        return struct.pack(">I", len(self.content)) + body + struct.pack(">I", zlib.crc32(body))


@dataclass(frozen=True, slots=True)
class Header:
    """What IHDR says."""

    width: int
    height: int
    depth: int
    colour: int
    """0 grey, 2 RGB, 3 palette, 4 grey with opacity, 6 RGB with opacity."""
    interlaced: bool

    @property
    def channels(self) -> int:
        """Numbers a pixel."""
        return {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[self.colour]

    @property
    def step(self) -> int:
        """Bytes between a byte and the one that filters compare it with."""
        return max(1, self.channels * self.depth // 8)

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of so many pixels."""
        return (width * self.channels * self.depth + 7) // 8


def parse(data: bytes) -> tuple[list[Chunk], bytes]:
    """All chunks up to IEND, and what comes after it.

    Raises:
        PictureError: if the structure is damaged.
    """
    if not data.startswith(SIGNATURE):
        raise PictureError("cannot be decoded (no PNG)")
    chunks = []
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 12 + length
        if end > len(data):
            break
        chunks.append(Chunk(kind, data[position + 8 : end - 4]))
        position = end
        if kind == b"IEND":
            return chunks, data[end:]
    raise PictureError("cannot be decoded (damaged PNG chunks)")


def joined(chunks: Sequence[Chunk], tail: bytes) -> bytes:
    """A file of these chunks."""
    return SIGNATURE + b"".join(map(bytes, chunks)) + tail


def header(chunks: Sequence[Chunk]) -> Header:
    """What IHDR says.

    Raises:
        PictureError: if there is none first, or it is not allowed.
    """
    first = chunks[0]
    if first.kind != b"IHDR" or len(first.content) != 13:
        raise PictureError("cannot be decoded (no PNG header)")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", first.content)
    if colour not in (0, 2, 3, 4, 6) or depth not in (1, 2, 4, 8, 16):
        raise PictureError("cannot be decoded (damaged PNG header)")
    return Header(width, height, depth, colour, interlace == 1)


def content_of(chunks: Sequence[Chunk], kind: bytes) -> bytes | None:
    """The content of the first chunk of a kind, or None."""
    return next((chunk.content for chunk in chunks if chunk.kind == kind), None)


def with_image_data(chunks: Sequence[Chunk], coded: bytes) -> Iterator[Chunk]:
    """The chunks with other image data, in pieces as long as they were."""
    lengths = [len(chunk.content) for chunk in chunks if chunk.kind == b"IDAT"]
    piece = max(lengths) if len(lengths) > 1 else len(coded)
    written = False
    for chunk in chunks:
        if chunk.kind != b"IDAT":
            yield chunk
        elif not written:
            written = True
            for start in range(0, len(coded), max(1, piece)):
                yield Chunk(b"IDAT", coded[start : start + piece])
