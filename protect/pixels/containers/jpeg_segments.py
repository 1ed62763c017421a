"""The parts of a JPEG file (ITU-T T.81, annex B), so that some can be exchanged and the others stay as they are."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from protect.pixels.error import PictureError

SOI, EOI, SOS, DQT, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
APP0, APP1, APP2, APP11, APP13, APP15 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""The last bytes of a marker inside coded data: stuffed zeros and restart markers belong to the data.

Begins with one byte and not with any number of 0xFF: so `re` looks for that byte alone, twenty times as fast.
"""


@dataclass(frozen=True, slots=True)
class Segment:
    """A marker with its content."""

    marker: int
    content: bytes
    fill: bytes = b""
    """Bytes 0xFF that stood before it."""

    def __bytes__(self) -> bytes:
        length = struct.pack(">H", len(self.content) + 2)
        return self.fill + bytes((0xFF, self.marker)) + length + self.content


@dataclass(frozen=True, slots=True)
class Frame:
    """What the start of frame says."""

    kind: int
    """0 baseline, 1 extended, 2 progressive; others cannot be written back."""
    depth: int
    components: tuple[tuple[int, int, int, int], ...]
    """Name, horizontal and vertical sampling, and number of the quantisation table, of each component."""


@dataclass(frozen=True, slots=True)
class JpegFile:
    """A JPEG file in three parts."""

    header: tuple[Segment, ...]
    """All segments before the first scan."""
    scans: bytes
    """From the first scan to the end of the picture, both markers included."""
    tail: bytes
    """What comes after the end of the picture."""

    @property
    def frame(self) -> Frame:
        """Its start of frame.

        Raises:
            PictureError: if there is none, or it is damaged.
        """
        for segment in self.header:
            if segment.marker in _FRAMES:
                return _frame(segment)
        raise PictureError("cannot be decoded (no start of frame)")

    @property
    def end(self) -> int:
        """Offset of the tail in the file."""
        return 2 + sum(len(bytes(segment)) for segment in self.header) + len(self.scans)

    def __bytes__(self) -> bytes:
        return b"\xff\xd8" + b"".join(map(bytes, self.header)) + self.scans + self.tail


def parse(data: bytes, start: int = 0) -> JpegFile:
    """Take a JPEG file apart that begins at `start`.

    Raises:
        PictureError: if its structure is damaged.
    """
    if data[start : start + 2] != b"\xff\xd8":
        raise PictureError("cannot be decoded (no JPEG)")
    header: list[Segment] = []
    position = start + 2
    while True:
        segment, following = _segment(data, position)
        if segment.marker == SOS:
            end = _end(data, following)
            return JpegFile(tuple(header), data[position:end], data[end:])
        header.append(segment)
        position = following


def markers(scans: bytes) -> Iterator[tuple[int, int]]:
    """Every marker in `JpegFile.scans` with the offset of its content's length field."""
    position = 0
    while found := _MARKER.search(scans, position):
        marker = scans[found.end() - 1]
        yield marker, found.end()
        if marker == EOI:
            return
        position = found.end() + _length(scans, found.end())


def _segment(data: bytes, position: int) -> tuple[Segment, int]:
    begin = position
    while data[position : position + 2] == b"\xff\xff":
        position += 1
    if data[position : position + 1] != b"\xff" or position + 4 > len(data):
        raise PictureError("cannot be decoded (damaged JPEG segments)")
    marker, length = data[position + 1], _length(data, position + 2)
    end = position + 2 + length
    if marker in (0, 1, SOI, EOI) or 0xD0 <= marker <= 0xD7 or length < 2 or end > len(data):
        raise PictureError("cannot be decoded (damaged JPEG segments)")
    return Segment(marker, data[position + 4 : end], data[begin:position]), end


def _end(data: bytes, position: int) -> int:
    """Offset after the end of the picture whose first scan's data begin at `position`."""
    while found := _MARKER.search(data, position):
        marker = data[found.end() - 1]
        if marker == EOI:
            return found.end()
        position = found.end() + max(2, _length(data, found.end()))
    return len(data)


def _length(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 2], "big")


def _frame(segment: Segment) -> Frame:
    content = segment.content
    count = content[5] if len(content) > 5 else 0
    if not count or len(content) < 6 + 3 * count:
        raise PictureError("cannot be decoded (damaged start of frame)")
    rows = (content[6 + 3 * i : 9 + 3 * i] for i in range(count))
    components = tuple((name, sampling >> 4, sampling & 15, table) for name, sampling, table in rows)
    return Frame(segment.marker - 0xC0, content[0], components)
