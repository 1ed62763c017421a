"""The chunks of a RIFF file, as which WebP files are written (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from protect.pixels.error import PictureError

OPACITY = b"ALPH"  # codespell:ignore
"""The kind of a chunk with the opacity of a lossy picture."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk of a WebP file."""

    kind: bytes
    content: bytes

    def __bytes__(self) -> bytes:
        return self.kind + struct.pack("<I", len(self.content)) + self.content + b"\0" * (len(self.content) % 2)


def parse(data: bytes) -> tuple[list[Chunk], bytes]:
    """All chunks, and what comes after the file's end.

    Raises:
        PictureError: if the structure is damaged.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        raise PictureError("cannot be decoded (no WebP)")
    end = min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    chunks = []
    position = 12
    while position + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, position)
        if position + 8 + length > end:
            raise PictureError("cannot be decoded (damaged WebP chunks)")
        chunks.append(Chunk(kind, data[position + 8 : position + 8 + length]))
        position += 8 + length + length % 2
    return chunks, data[max(position, end) :]


def joined(chunks: Sequence[Chunk], tail: bytes) -> bytes:
    """A file of these chunks."""
    body = b"WEBP" + b"".join(map(bytes, chunks))
    return b"RIFF" + struct.pack("<I", len(body)) + body + tail
