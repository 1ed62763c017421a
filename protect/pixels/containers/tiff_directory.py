"""Directories of TIFF data: of TIFF files, of EXIF data and of the index of multi-picture files."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from protect.pixels.error import PictureError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
"""Bytes of one value by type."""
_SHORT, _LONG = 3, 4


@dataclass(frozen=True, slots=True)
class Entry:
    """A field of a directory."""

    kind: int
    count: int
    place: int
    """Offset of its values in the data."""

    @property
    def size(self) -> int:
        """Bytes of its values."""
        return _SIZES.get(self.kind, 1) * self.count


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of TIFF data."""

    order: str
    """"<" or ">", as `struct` writes it."""
    entries: dict[int, Entry]
    """Fields by tag."""
    following: int
    """Offset of the next directory, 0 if none."""

    def numbers(self, data: bytes, tag: int) -> tuple[int, ...]:
        """The whole numbers of a field; none if it is absent.

        Raises:
            PictureError: if they are no whole numbers, or outside the data.
        """
        if (entry := self.entries.get(tag)) is None:
            return ()
        letter = {1: "B", _SHORT: "H", _LONG: "I", 13: "I"}.get(entry.kind)
        if letter is None or entry.place + entry.size > len(data):
            raise _damaged()
        return struct.unpack_from(f"{self.order}{entry.count}{letter}", data, entry.place)

    def number(self, data: bytes, tag: int, default: int) -> int:
        """The first number of a field, or the default."""
        values = self.numbers(data, tag)
        return values[0] if values else default

    def value(self, data: bytes, tag: int) -> bytes:
        """The bytes of a field; empty if it is absent."""
        entry = self.entries.get(tag)
        return b"" if entry is None else data[entry.place : entry.place + entry.size]

    def put_numbers(self, data: bytearray, tag: int, values: tuple[int, ...]) -> bool:
        """Overwrite a field with as many numbers; False, and nothing changes, if one of them does not fit.

        Raises:
            PictureError: if the field is absent, or holds another count.
        """
        entry = self.entries.get(tag)
        if entry is None or entry.count != len(values) or entry.kind not in (_SHORT, _LONG):
            raise _damaged()
        if entry.kind == _SHORT and max(values, default=0) > 0xFFFF:
            return False
        struct.pack_into(f"{self.order}{len(values)}{'H' if entry.kind == _SHORT else 'I'}", data, entry.place, *values)
        return True


def first_directory(data: bytes) -> Directory:
    """The first directory of TIFF data.

    Raises:
        PictureError: if it is damaged, or a BigTIFF.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        raise _damaged()
    return directory(data, order, struct.unpack_from(f"{order}I", data, 4)[0])


def directory(data: bytes, order: str, offset: int) -> Directory:
    """The directory at `offset`.

    Raises:
        PictureError: if it is damaged.
    """
    if offset + 2 > len(data):
        raise _damaged()
    (count,) = struct.unpack_from(f"{order}H", data, offset)
    end = offset + 2 + 12 * count
    if end > len(data):
        raise _damaged()
    entries: dict[int, Entry] = {}
    for place in range(offset + 2, end, 12):
        tag, kind, values = struct.unpack_from(f"{order}HHI", data, place)
        entry = Entry(kind, values, place + 8)
        if entry.size > 4:
            entry = Entry(kind, values, struct.unpack_from(f"{order}I", data, place + 8)[0])
        entries.setdefault(tag, entry)
    following = struct.unpack_from(f"{order}I", data, end)[0] if end + 4 <= len(data) else 0
    return Directory(order, entries, following)


def _damaged() -> PictureError:
    return PictureError("cannot be decoded (damaged TIFF directory)")
