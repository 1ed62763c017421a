"""Boxes and items of AVIF and HEIC files (ISO/IEC 14496-12 and 23008-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from protect.pixels.error import PictureError


@dataclass(frozen=True, slots=True)
class Box:
    """A box; offsets are in the file."""

    kind: bytes
    start: int
    content: int
    """Offset of what is in it."""
    end: int
    length_size: int
    """Bytes of the field at `start` (4) or after the kind (8) that says its length; 0 for a last box without."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of bytes of an item, and where the file says so."""

    offset: int
    """Offset in the file, or in the item box `idat`."""
    length: int
    offset_field: int
    offset_size: int
    rest: int
    """What that field leaves out of the offset."""
    length_field: int
    length_size: int


@dataclass(frozen=True, slots=True)
class Item:
    """Something stored in a file: a coded picture, a grid of pictures, EXIF data."""

    kind: bytes
    extents: tuple[Extent, ...]
    inside: bool
    """Whether it lies in the metadata (`idat`) instead of the file's data."""
    properties: tuple[int, ...]
    """Numbers of its properties, in order."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A link from one item to others: `thmb`, `auxl`, `dimg`, `cdsc`."""

    kind: bytes
    source: int
    targets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file of items."""

    data: bytes
    top: tuple[Box, ...]
    parents: tuple[Box, ...]
    """The boxes around the properties, from the outermost."""
    items: dict[int, Item]
    primary: int
    properties: tuple[Box, ...]
    """All properties; number 1 is the first."""
    references: tuple[Reference, ...]
    idat: int
    """Offset of data inside the metadata, 0 if there are none."""

    def content(self, number: int) -> bytes:
        """The bytes of an item."""
        item = self.items[number]
        base = self.idat if item.inside else 0
        return b"".join(self.data[base + e.offset : base + e.offset + e.length] for e in item.extents)

    def property_number(self, item: int, kind: bytes, start: bytes = b"") -> int:
        """Number of an item's property of a kind whose content begins so; 0 if it has none."""
        for number in self.items[item].properties:
            box = self.properties[number - 1]
            if box.kind == kind and self.data[box.content : box.end].startswith(start):
                return number
        return 0

    def property_content(self, number: int) -> bytes:
        """The content of a property; empty for number 0."""
        if not number:
            return b""
        box = self.properties[number - 1]
        return self.data[box.content : box.end]

    def sources(self, kind: bytes, target: int) -> list[int]:
        """Items with a reference of this kind to an item."""
        return [r.source for r in self.references if r.kind == kind and target in r.targets]


def parse(data: bytes) -> ItemFile:
    """Take a file apart.

    Raises:
        PictureError: if its structure is damaged, or newer than this reader.
    """
    try:
        return _parse(data)
    except (struct.error, IndexError, KeyError, StopIteration):
        raise PictureError("cannot be decoded (damaged boxes)") from None


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes in a part of a file.

    Raises:
        PictureError: if one is damaged.
    """
    while start < end:
        length, kind = struct.unpack_from(">I4s", data, start)
        content, size = start + 8, 4
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start + 8)
            content, size = start + 16, 8
        elif length == 0:
            length, size = end - start, 0
        if length < content - start or start + length > end:
            raise PictureError("cannot be decoded (damaged boxes)")
        yield Box(kind, start, content, start + length, size)
        start += length


def _parse(data: bytes) -> ItemFile:
    top = tuple(boxes(data, 0, len(data)))
    meta = next(box for box in top if box.kind == b"meta")
    inner = {box.kind: box for box in boxes(data, meta.content + 4, meta.end)}
    iprp = inner[b"iprp"]
    ipco = next(box for box in boxes(data, iprp.content, iprp.end) if box.kind == b"ipco")
    kinds = _kinds(data, inner[b"iinf"])
    owned = _associations(data, [box for box in boxes(data, iprp.content, iprp.end) if box.kind == b"ipma"])
    places = _places(data, inner[b"iloc"])
    items = {n: Item(kind, *places.get(n, ((), False)), owned.get(n, ())) for n, kind in kinds.items()}
    properties = tuple(boxes(data, ipco.content, ipco.end))
    if any(not 1 <= n <= len(properties) for item in items.values() for n in item.properties):
        raise PictureError("cannot be decoded (damaged boxes)")
    pitm = inner[b"pitm"]
    primary, _ = _number(data, pitm.content + 4, 2 if data[pitm.content] == 0 else 4)
    references = tuple(_references(data, inner[b"iref"])) if b"iref" in inner else ()
    idat = inner[b"idat"].content if b"idat" in inner else 0
    if primary not in items:
        raise PictureError("cannot be decoded (no main picture)")
    return ItemFile(data, top, (meta, iprp, ipco), items, primary, properties, references, idat)


def _number(data: bytes, position: int, size: int) -> tuple[int, int]:
    """A whole number of so many bytes, and the offset after it."""
    if position + size > len(data):
        raise PictureError("cannot be decoded (damaged boxes)")
    return int.from_bytes(data[position : position + size], "big"), position + size


def _kinds(data: bytes, iinf: Box) -> dict[int, bytes]:
    kinds = {}
    for box in boxes(data, iinf.content + (6 if data[iinf.content] == 0 else 8), iinf.end):
        size = 2 if data[box.content] < 3 else 4
        number, position = _number(data, box.content + 4, size)
        kinds[number] = data[position + 2 : position + 6]
    return kinds


def _places(data: bytes, iloc: Box) -> dict[int, tuple[tuple[Extent, ...], bool]]:
    version = data[iloc.content]
    sizes, more = data[iloc.content + 4], data[iloc.content + 5]
    offset_size, length_size, base_size, index_size = sizes >> 4, sizes & 15, more >> 4, more & 15 if version else 0
    number_size = 2 if version < 2 else 4
    count, position = _number(data, iloc.content + 6, number_size)
    places = {}
    for _ in range(count):
        item, position = _number(data, position, number_size)
        method, position = _number(data, position, 2) if version else (0, position)
        base_field = position + 2
        base, position = _number(data, base_field, base_size)
        extents, position = _number(data, position, 2)
        found = []
        for _ in range(extents):
            position += index_size
            offset, after = _number(data, position, offset_size)
            length, end = _number(data, after, length_size)
            by_base = base_size and extents == 1
            field, size, rest = (base_field, base_size, offset) if by_base else (position, offset_size, base)
            found.append(Extent(base + offset, length, field, size, rest, after, length_size))
            position = end
        places[item] = (tuple(found), method & 15 == 1)
    return places


def _associations(data: bytes, ipmas: list[Box]) -> dict[int, tuple[int, ...]]:
    owned: dict[int, tuple[int, ...]] = {}
    for ipma in ipmas:
        wide = data[ipma.content + 3] & 1
        count, position = _number(data, ipma.content + 4, 4)
        for _ in range(count):
            item, position = _number(data, position, 2 if data[ipma.content] == 0 else 4)
            entries, position = _number(data, position, 1)
            numbers = []
            for _ in range(entries):
                entry, position = _number(data, position, 2 if wide else 1)
                numbers.append(entry & (0x7FFF if wide else 0x7F))
            owned[item] = tuple(n for n in numbers if n)
    return owned


def _references(data: bytes, iref: Box) -> Iterator[Reference]:
    size = 2 if data[iref.content] == 0 else 4
    for box in boxes(data, iref.content + 4, iref.end):
        source, position = _number(data, box.content, size)
        count, position = _number(data, position, 2)
        targets = []
        for _ in range(count):
            target, position = _number(data, position, size)
            targets.append(target)
        yield Reference(box.kind, source, tuple(targets))
