"""Exchanging items and properties of an AVIF or HEIC file; every other byte stays, and all places are put right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from protect.pixels.containers.iso_boxes import ItemFile
from protect.pixels.error import PictureError


@dataclass(frozen=True, slots=True)
class _Edit:
    """Other bytes for a part of the file."""

    start: int
    end: int
    content: bytes

    @property
    def growth(self) -> int:
        return len(self.content) - (self.end - self.start)


def with_parts(file: ItemFile, items: Mapping[int, bytes], properties: Mapping[int, bytes]) -> bytes:
    """The file with other contents.

    Args:
        file: the original.
        items: new bytes by number of item; each must have one extent.
        properties: new content by number of property.

    Raises:
        PictureError: if the layout is too unusual to be changed.
    """
    edits = [_item_edit(file, number, content) for number, content in items.items()]
    for number, content in properties.items():
        box = file.properties[number - 1]
        edits.append(_Edit(box.content, box.end, content))
    edits += [*_lengths(file, edits), *_extents(file, edits, items)]
    edits.sort(key=lambda edit: (edit.start, edit.end))
    if any(first.end > second.start for first, second in pairwise(edits)):
        raise PictureError("pictures that share their data cannot be written back")
    pieces, position = [], 0
    for edit in edits:
        pieces += [file.data[position : edit.start], edit.content]
        position = edit.end
    return b"".join([*pieces, file.data[position:]])


def _item_edit(file: ItemFile, number: int, content: bytes) -> _Edit:
    item = file.items[number]
    if len(item.extents) != 1 or not item.extents[0].length_size:
        raise PictureError("a picture in several pieces cannot be written back")
    (extent,) = item.extents
    start = extent.offset + (file.idat if item.inside else 0)
    edit = _Edit(start, start + extent.length, content)
    if edit.end > len(file.data) or (item.inside and edit.growth):
        raise PictureError("a picture inside the metadata cannot be written back")
    return edit


def _lengths(file: ItemFile, edits: Sequence[_Edit]) -> Iterator[_Edit]:
    """Edits of the lengths of all boxes that grow or shrink."""
    for box in {*file.top, *file.parents, *file.properties}:
        growth = sum(edit.growth for edit in edits if box.content <= edit.start and edit.end <= box.end)
        if growth and box.length_size:
            place = box.start if box.length_size == 4 else box.start + 8
            yield _number(place, box.length_size, box.end - box.start + growth)


def _extents(file: ItemFile, edits: Sequence[_Edit], items: Mapping[int, bytes]) -> Iterator[_Edit]:
    """Edits of the places and lengths of all items that move or change."""
    for number, item in file.items.items():
        for extent in item.extents:
            if number in items and len(items[number]) != extent.length:
                yield _number(extent.length_field, extent.length_size, len(items[number]))
            moved = 0 if item.inside else sum(edit.growth for edit in edits if edit.end <= extent.offset)
            if moved:
                yield _number(extent.offset_field, extent.offset_size, extent.offset - extent.rest + moved)


def _number(place: int, size: int, value: int) -> _Edit:
    if not 0 <= value < 1 << 8 * size:
        raise PictureError("a file with such narrow offsets cannot be written back")
    return _Edit(place, place + size, value.to_bytes(size, "big"))
