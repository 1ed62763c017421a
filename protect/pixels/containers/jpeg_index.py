"""The index of a JPEG file with further pictures after its end (CIPA DC-007, "MPF"), as phones and cameras write.

Large previews are replaced by ones of the new pixels. Gain maps (which brighten a picture on bright screens) stay.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from protect.pixels.containers.jpeg_segments import APP2, JpegFile, Segment
from protect.pixels.containers.tiff_directory import first_directory
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError
from protect.pixels.metadata import tail_obstacle
from protect.pixels.previews import preview_obstacle, with_new_previews

_PREFIX = b"MPF\0"
_ENTRIES = 0xB002
_LARGE_PREVIEWS = frozenset({0x010001, 0x010002})
_GAIN_MAP_WORDS = (b"hdrgm:", b"HDRGainMap", b"hdrgainmap", b"urn:iso:std:iso:ts:21496")


@dataclass(frozen=True, slots=True)
class _Further:
    """A further picture; start and end are offsets in the tail."""

    kind: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Index:
    segment: int
    """Number of its segment in the header."""
    order: str
    entries: int
    """Offset of the entries in the segment's content."""
    count: int
    base: int
    """Offset in the file that the entries' offsets start from."""


def later_pictures_obstacle(file: JpegFile) -> str | None:
    """Why what comes after the picture's end cannot stay or be replaced, or None.

    Raises:
        PictureError: if the index is damaged.
    """
    rest = file.tail
    for further in _pictures(file):
        part = file.tail[further.start : further.end]
        if not 0 <= further.start < further.end <= len(file.tail):
            return "a damaged index of pictures after its end"
        if further.kind in _LARGE_PREVIEWS:
            if reason := preview_obstacle(part):
                return reason
        elif further.kind or not any(word in part for word in _GAIN_MAP_WORDS):
            return "a second picture after its end"
        rest = rest.replace(part, b"")
    return tail_obstacle(rest)


def with_later_pictures(old: JpegFile, new: JpegFile, pixels: Pixels) -> JpegFile:
    """The new file with previews after its end replaced, and its index pointing to them.

    Args:
        old: the original, without obstacle.
        new: the same with other coded data; its index and tail still those of the original.
        pixels: RGBA as stored.
    """
    before, after = _index(old), _index(new)
    if before is None or after is None:
        return new
    tail = bytearray(old.tail)
    for further in _pictures(old):
        if further.kind in _LARGE_PREVIEWS:
            tail[further.start : further.end] = with_new_previews(old.tail[further.start : further.end], pixels)
    grown = new.end - old.end
    moved = grown - (after.base - before.base)
    segment = _moved(new.header[after.segment], after, grown, moved)
    header = (*new.header[: after.segment], segment, *new.header[after.segment + 1 :])
    return JpegFile(header, new.scans, bytes(tail))


def _moved(segment: Segment, index: _Index, grown: int, moved: int) -> Segment:
    """The index after the first picture grew and all others moved by so many bytes."""
    content = bytearray(segment.content)
    for number in range(index.count):
        place = index.entries + 16 * number + 4
        size, offset = struct.unpack_from(f"{index.order}II", content, place)
        changed = (size + grown, offset) if number == 0 else (size, offset + moved)
        struct.pack_into(f"{index.order}II", content, place, *(value % 2**32 for value in changed))
    return replace(segment, content=bytes(content))


def _index(file: JpegFile) -> _Index | None:
    position = 2
    for number, segment in enumerate(file.header):
        if segment.marker == APP2 and segment.content.startswith(_PREFIX):
            data = segment.content[len(_PREFIX) :]
            first = first_directory(data)
            entry = first.entries.get(_ENTRIES)
            if entry is None or entry.size % 16 or entry.place + entry.size > len(data):
                raise PictureError("cannot be decoded (damaged index of pictures)")
            base = position + len(segment.fill) + 4 + len(_PREFIX)
            return _Index(number, first.order, entry.place + len(_PREFIX), entry.size // 16, base)
        position += len(bytes(segment))
    return None


def _pictures(file: JpegFile) -> list[_Further]:
    """The further pictures of the index; none if there is no index."""
    if (index := _index(file)) is None:
        return []
    content = file.header[index.segment].content
    found = []
    for number in range(1, index.count):
        attribute, size, offset = struct.unpack_from(f"{index.order}III", content, index.entries + 16 * number)
        if size:
            start = index.base + offset - file.end
            found.append(_Further(attribute & 0xFFFFFF, start, start + size))
    return found
