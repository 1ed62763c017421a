"""TIFF of one page: grey, RGB, each with or without opacity, 8 bit; plain, deflate, LZW or PackBits; strips or tiles.

Kept byte for byte and in place: the directory and all that its tags point to. Changed: the strips, their places and
lengths; previews of Photoshop. Where new strips need more room than the old, the last ones go to the file's end.
Unchanged pixels come back exactly. Set aside: several pages, layers, JPEG and fax compression, palettes, 16 bit, CMYK,
C2PA.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.containers.tiff_directory import Directory, first_directory
from protect.pixels.containers.tiff_strips import COMPRESSIONS, Grid, packed_strips
from protect.pixels.decode import Pixels
from protect.pixels.metadata import C2PA, xmp_obstacle
from protect.pixels.previews import preview_obstacle, with_new_previews

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER = 256, 257, 258, 259, 262, 266
_STRIP_OFFSETS, _SAMPLES, _ROWS, _STRIP_LENGTHS, _PLANES, _PREDICTOR = 273, 277, 278, 279, 284, 317
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_LENGTHS = 322, 323, 324, 325
_SUB_PICTURES, _EXTRA, _FORMAT, _XMP, _LAYERS, _C2PA = 330, 338, 339, 700, 37724, 52545
_SEPARATE_OPACITY = 2
_KINDS = {(1, 1): "L", (1, 2): "LA", (2, 3): "RGB", (2, 4): "RGBA"}
"""Modes by photometric interpretation and numbers a pixel."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The one page of a file."""

    directory: Directory
    compression: int
    predictor: int
    grid: Grid
    mode: str
    offsets: tuple[int, ...]
    lengths: tuple[int, ...]
    place_tags: tuple[int, int]

    @property
    def start(self) -> int:
        """Offset of the first strip."""
        return min(self.offsets)

    @property
    def end(self) -> int:
        """Offset after the last strip."""
        return max(o + n for o, n in zip(self.offsets, self.lengths, strict=True))


class Tiff(Container):
    """See the module."""

    names = frozenset({"TIFF"})
    turned_by_pillow = True

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`."""
        if data[2:4] in (b"+\0", b"\0+"):
            return "a BigTIFF cannot be written back"
        first = first_directory(data)
        if reason := _tag_obstacle(first, data) or xmp_obstacle(first.value(data, _XMP)):
            return reason
        page = _page(data)
        if len(page.offsets) != page.grid.count or len(page.lengths) != page.grid.count:
            return "a TIFF whose strips are not all there cannot be written back"
        if page.end > len(data) or page.end - page.start > sum(page.lengths) + 16 * page.grid.count:
            return "a TIFF with scattered strips cannot be written back"
        if page.compression != 1 and _narrow_tables(page):
            return "a TIFF with 16 bit offsets cannot be written back"
        return preview_obstacle(_without_strips(data, page))

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        page = _page(data)
        samples = Image.fromarray(pixels).convert(page.mode)
        cells = np.asarray(samples).reshape(*pixels.shape[:2], -1)
        example = data[page.offsets[0] : page.offsets[0] + page.lengths[0]]
        strips = list(packed_strips(cells, page.grid, page.compression, page.predictor, example))
        rest = with_new_previews(_without_strips(data, page), pixels)
        return _placed(rest, page, strips)


def _tag_obstacle(first: Directory, data: bytes) -> str | None:
    number = first.number
    mode = _KINDS.get((number(data, _PHOTOMETRIC, 0), number(data, _SAMPLES, 1)))
    if first.following or _SUB_PICTURES in first.entries:
        return "several pictures in one file"
    if _LAYERS in first.entries:
        return "the layers of Photoshop show the unchanged picture"
    if _C2PA in first.entries:
        return C2PA
    if number(data, _COMPRESSION, 1) not in COMPRESSIONS:
        return f"TIFF compression {number(data, _COMPRESSION, 1)} cannot be written back"
    if set(first.numbers(data, _BITS) or (1,)) != {8} or set(first.numbers(data, _FORMAT) or (1,)) != {1}:
        return "a TIFF of other numbers than 8 bit ones cannot be written back"
    if mode is None or number(data, _PLANES, 1) != 1 or number(data, _FILL_ORDER, 1) != 1:
        return "a TIFF with these colours cannot be written back"
    if mode in ("LA", "RGBA") and number(data, _EXTRA, 0) != _SEPARATE_OPACITY:
        return "a TIFF with this kind of opacity cannot be written back"
    return "a TIFF with this predictor cannot be written back" if number(data, _PREDICTOR, 1) not in (1, 2) else None


def _page(data: bytes) -> _Page:
    first = first_directory(data)
    height, width = first.number(data, _HEIGHT, 0), first.number(data, _WIDTH, 0)
    tiled = _TILE_OFFSETS in first.entries
    tags = (_TILE_OFFSETS, _TILE_LENGTHS) if tiled else (_STRIP_OFFSETS, _STRIP_LENGTHS)
    if tiled:
        grid = Grid(height, width, first.number(data, _TILE_HEIGHT, 0), first.number(data, _TILE_WIDTH, 0), True)
    else:
        grid = Grid(height, width, min(height, first.number(data, _ROWS, height)), width, False)
    return _Page(
        first,
        first.number(data, _COMPRESSION, 1),
        first.number(data, _PREDICTOR, 1),
        grid,
        _KINDS[first.number(data, _PHOTOMETRIC, 0), first.number(data, _SAMPLES, 1)],
        first.numbers(data, tags[0]),
        first.numbers(data, tags[1]),
        tags,
    )


def _narrow_tables(page: _Page) -> bool:
    """Whether new places or lengths might not fit the 16 bit numbers of their tables."""
    largest = 2 * page.grid.rows * page.grid.columns * len(page.mode) + 1024
    offsets, lengths = (page.directory.entries[tag] for tag in page.place_tags)
    return offsets.kind == 3 or (lengths.kind == 3 and largest > 0xFFFF)


def _without_strips(data: bytes, page: _Page) -> bytes:
    return data[: page.start] + bytes(page.end - page.start) + data[page.end :]


def _placed(rest: bytes, page: _Page, strips: list[bytes]) -> bytes:
    """The file with strips where the old ones were, as far as there is room, then at its end."""
    changed = bytearray(rest)
    limit = page.end
    if page.end >= len(rest) - 1:
        del changed[page.start :]
        limit = sys.maxsize
    step = 1 if any(offset % 2 for offset in page.offsets) else 2
    position, offsets = page.start, []
    for strip in strips:
        if position + len(strip) > limit:
            position, limit = len(changed) + len(changed) % 2, sys.maxsize
        changed.extend(bytes(max(0, position + len(strip) - len(changed))))
        changed[position : position + len(strip)] = strip
        offsets.append(position)
        position += -(-len(strip) // step) * step
    page.directory.put_numbers(changed, page.place_tags[0], tuple(offsets))
    page.directory.put_numbers(changed, page.place_tags[1], tuple(map(len, strips)))
    return bytes(changed)
