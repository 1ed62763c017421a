"""Which items of an AVIF or HEIC file show the picture: the main one or its tiles, thumbnails, opacity."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.iso_boxes import ItemFile
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError
from protect.pixels.metadata import xmp_obstacle
from protect.pixels.previews import exif_obstacle, shrunk, with_new_previews

_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")
_PICTURES = frozenset({b"av01", b"hvc1", b"grid", b"jpeg", b"iovl", b"iden"})
_DERIVED = frozenset({b"auxl", b"dimg", b"cdsc", b"thmb"})
Codec = tuple[bytes, bytes]
"""Kind of the coded items, and of the property with the codec's setting."""


@dataclass(frozen=True, slots=True)
class Part:
    """A coded item and what it shows of the picture."""

    item: int
    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int] | None = None
    """Height and width at which it shows the whole picture, if it is a thumbnail; the rest is cropped away."""

    def cut(self, pixels: Pixels) -> Image.Image:
        """What it shows of RGBA pixels as stored; beyond the picture's edge its last row and column go on."""
        if self.whole:
            part = shrunk(pixels, self.whole[1], self.whole[0])
        else:
            part = pixels[self.top : self.top + self.height, self.left : self.left + self.width]
        missing = ((0, self.height - part.shape[0]), (0, self.width - part.shape[1]), (0, 0))
        padded = np.pad(part, missing, mode="edge") if missing[0][1] or missing[1][1] else part
        return Image.fromarray(np.ascontiguousarray(padded)).convert("RGB")


def stored_size(file: ItemFile, number: int) -> tuple[int, int]:
    """Height and width of an item before it is turned.

    Raises:
        PictureError: if they are not said.
    """
    content = file.property_content(file.property_number(number, b"ispe"))
    if len(content) < 12:
        raise PictureError("cannot be decoded (a picture without a size)")
    width, height = struct.unpack(">II", content[4:12])
    return height, width


def parts_of(file: ItemFile, codec: bytes) -> Iterator[Part]:
    """The main picture, or its tiles, and its thumbnails.

    Raises:
        PictureError: if one of them cannot be coded again.
    """
    kind = file.items[file.primary].kind
    if kind == codec:
        yield Part(file.primary, 0, 0, *stored_size(file, file.primary))
    elif kind == b"grid":
        yield from _tiles(file, codec)
    else:
        raise PictureError(f"a picture of the kind {kind.decode('latin-1')} cannot be written back")
    for number in file.sources(b"thmb", file.primary):
        if file.items[number].kind != codec:
            raise PictureError("a thumbnail of another codec cannot be replaced")
        yield Part(number, 0, 0, *stored_size(file, number), whole=_shown_size(file, number))


def alpha_items(file: ItemFile) -> list[int]:
    """The items that hold the main picture's opacity."""
    found = file.sources(b"auxl", file.primary)
    return [n for n in found if any(name in file.property_content(file.property_number(n, b"auxC")) for name in _ALPHA)]


def layout_obstacle(file: ItemFile, codec: Codec) -> str | None:
    """Why the items cannot be coded again, or None.

    Raises:
        PictureError: likewise, or if the file is damaged.
    """
    parts = list(parts_of(file, codec[0]))
    ours = {part.item for part in parts} | set(alpha_items(file))
    if any(reference.kind == b"prem" for reference in file.references):
        return "colours multiplied by opacity cannot be written back"
    if any(file.items[number].kind != codec[0] for number in alpha_items(file)):
        return "opacity in tiles cannot be written back"
    changing = {n for part in parts for n in changing_properties(file, part.item, codec[1])}
    kept = (item for n, item in file.items.items() if n not in ours and item.kind == codec[0])
    if any(changing & set(item.properties) for item in kept):
        return "pictures that share their setting cannot be written back"
    derived = {r.source for r in file.references if r.kind in _DERIVED}
    derived |= {n for r in file.references if r.kind == b"dimg" for n in r.targets}
    pictures = {n for n, item in file.items.items() if item.kind in _PICTURES}
    return "several pictures in one file" if pictures - derived - ours - {file.primary} else None


def changing_properties(file: ItemFile, item: int, setting: bytes) -> list[int]:
    """Numbers of the properties that change with an item's coded data: the codec's setting, the matrix of colours."""
    numbers = (file.property_number(item, setting), file.property_number(item, b"colr", b"nclx"))
    return [number for number in numbers if number]


def metadata_obstacle(file: ItemFile) -> str | None:
    """Why EXIF and XMP items cannot stay, or None."""
    for number, item in file.items.items():
        if item.kind == b"mime" and (reason := xmp_obstacle(file.content(number))):
            return reason
        if item.kind == b"Exif":
            content = file.content(number)
            if reason := exif_obstacle(content[4 + int.from_bytes(content[:4], "big") :]):
                return reason
    return None


def items_with_previews(file: ItemFile, pixels: Pixels) -> Iterator[tuple[int, bytes]]:
    """EXIF items whose thumbnails change."""
    for number, item in file.items.items():
        content = file.content(number) if item.kind == b"Exif" else b""
        if (changed := with_new_previews(content, pixels)) != content:
            yield number, changed


def _shown_size(file: ItemFile, number: int) -> tuple[int, int]:
    """Height and width of an item after cropping (`clap`), which encoders use to fill up their blocks."""
    height, width = stored_size(file, number)
    content = file.property_content(file.property_number(number, b"clap"))
    if len(content) < 16:
        return height, width
    across, across_by, down, down_by = struct.unpack(">IIII", content[:16])
    return min(height, down // max(1, down_by)) or height, min(width, across // max(1, across_by)) or width


def _tiles(file: ItemFile, codec: bytes) -> Iterator[Part]:
    grid = file.content(file.primary)
    columns, count = grid[3] + 1, (grid[2] + 1) * (grid[3] + 1)
    tiles = next((r.targets for r in file.references if r.kind == b"dimg" and r.source == file.primary), ())
    if len(tiles) != count or any(n not in file.items or file.items[n].kind != codec for n in tiles):
        raise PictureError("a picture whose tiles are not all there cannot be written back")
    for place, number in enumerate(tiles):
        height, width = stored_size(file, number)
        yield Part(number, place // columns * height, place % columns * width, height, width)
