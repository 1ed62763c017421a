"""GIF of one frame.

Kept byte for byte: all blocks but the picture's, so comments, XMP, delays, the number of the transparent colour, the
order of rows. Changed: the picture, and the colours of its palette, never their number (`palette`). Unchanged pixels
come back exactly. Set aside: animations, four colours or fewer, frames smaller than the screen.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError
from protect.pixels.metadata import tail_obstacle, xmp_obstacle
from protect.pixels.palette import in_palette

_EXTENSION, _FRAME, _END, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9
_HAS_TABLE, _INTERLACED, _HAS_TRANSPARENT = 0x80, 0x40, 0x01
_FEW = 4


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of a file are."""

    table: int
    """Offset of the palette in use."""
    colours: int
    transparent: int
    """Number of the transparent colour, -1 if there is none."""
    interlaced: bool
    picture: int
    """Offset of the coded picture, from its code size on."""
    picture_end: int
    end: int
    """Offset after the end of the file's blocks."""
    frames: int
    whole: bool
    """Whether the frame fills the screen."""


class Gif(Container):
    """See the module."""

    names = frozenset({"GIF"})

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`."""
        layout = _layout(data)
        if layout.frames != 1:
            return "animated"
        if not layout.whole:
            return "a GIF whose frame is smaller than the picture cannot be written back"
        if layout.colours <= _FEW:
            return f"it has {layout.colours} colours at most"
        return xmp_obstacle(data) or tail_obstacle(data[layout.end :])

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        layout = _layout(data)
        table = slice(layout.table, layout.table + 3 * layout.colours)
        colours = np.frombuffer(data[table], dtype=np.uint8).reshape(-1, 3)
        numbers, colours = _in_palette(pixels, colours, layout.transparent)
        head = data[: table.start] + colours.tobytes() + data[table.stop : layout.picture]
        return head + _coded(numbers, layout) + data[layout.picture_end :]


def _in_palette(pixels: Pixels, colours: Pixels, transparent: int) -> tuple[Pixels, Pixels]:
    """Numbers of colours, shape (H, W), and the colours, shape (n, 3); the transparent one stays as it is."""
    opaque = np.flatnonzero(np.arange(len(colours)) != transparent)
    palette = np.full((len(opaque), 4), 255, dtype=np.uint8)
    palette[:, :3] = colours[opaque]
    clear = pixels[..., 3:] < (128 if len(opaque) < len(colours) else 0)
    shown = np.where(clear, palette[0], pixels)
    shown[..., 3] = 255
    numbers, palette = in_palette(shown, palette)
    moved = colours.copy()
    moved[opaque] = palette[:, :3]
    return np.where(clear[..., 0], transparent, opaque[numbers]).astype(np.uint8), moved


def _coded(numbers: Pixels, layout: _Layout) -> bytes:
    """Numbers of colours, shape (H, W), as GIF codes them."""
    image = Image.fromarray(numbers, "P")
    image.putpalette(bytes(i for number in range(256) for i in (number, number, number)))
    buffer = io.BytesIO()
    image.save(buffer, format="GIF", optimize=False, interlace=int(layout.interlaced))
    data = buffer.getvalue()
    new = _layout(data)
    return data[new.picture : new.picture_end]


def _layout(data: bytes) -> _Layout:
    """Where everything is.

    Raises:
        PictureError: if the file is damaged.
    """
    try:
        return _walked(data)
    except (IndexError, struct.error):
        raise PictureError("cannot be decoded (damaged GIF blocks)") from None


def _walked(data: bytes) -> _Layout:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    table, colours, position = _table(flags, 13)
    found: list[tuple[int, int, bool, int, int, bool]] = []
    transparent = -1
    while data[position] != _END:
        if data[position] == _EXTENSION:
            if data[position + 1] == _CONTROL and not found and data[position + 3] & _HAS_TRANSPARENT:
                transparent = data[position + 6]
            position = _after_blocks(data, position + 2)
        elif data[position] == _FRAME:
            left, top, across, down, own = struct.unpack_from("<HHHHB", data, position + 1)
            own_table, own_colours, start = _table(own, position + 10)
            position = _after_blocks(data, start + 1)
            whole = (left, top, across, down) == (0, 0, width, height)
            place = (own_table, own_colours) if own_colours else (table, colours)
            found.append((*place, bool(own & _INTERLACED), start, position, whole))
        else:
            raise IndexError
    if not found:
        raise IndexError
    start, count, interlaced, picture, picture_end, whole = found[0]
    return _Layout(start, count, transparent, interlaced, picture, picture_end, position + 1, len(found), whole)


def _table(flags: int, position: int) -> tuple[int, int, int]:
    """Offset of a palette that these flags announce, its colours, and the offset after it."""
    colours = 2 << (flags & 7) if flags & _HAS_TABLE else 0
    return position, colours, position + 3 * colours


def _after_blocks(data: bytes, position: int) -> int:
    """The offset after a chain of blocks."""
    while data[position]:
        position += 1 + data[position]
    return position + 1
