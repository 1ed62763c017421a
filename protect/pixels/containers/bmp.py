"""BMP without compression: 24 and 32 bit, and 8 bit with a palette.

Everything keeps its place and length; only pixels change, and in 8 bit files the colours of the palette, never their
number (`palette`). The fourth byte of 32 bit pixels stays. Unchanged pixels come back exactly.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.container import Container
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError
from protect.pixels.metadata import tail_obstacle
from protect.pixels.palette import in_palette

_INFO = 40
_BIT_FIELDS = 3
_USUAL_MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where the parts of a file are."""

    pixels: int
    header: int
    """Bytes of the header that says the size."""
    width: int
    height: int
    depth: int
    compression: int
    colours: int
    """Entries of the palette."""
    downwards: bool

    @property
    def row(self) -> int:
        """Bytes of a row."""
        return (self.width * self.depth + 31) // 32 * 4

    @property
    def end(self) -> int:
        """Offset after the pixels."""
        return self.pixels + self.row * self.height


class Bmp(Container):
    """See the module."""

    names = frozenset({"BMP"})

    def obstacle(self, data: bytes, image: Image.Image) -> str | None:
        """See `Container.obstacle`."""
        layout = _layout(data)
        masks = data[54:66]
        if layout.depth not in (8, 24, 32):
            return f"a BMP of {layout.depth} bits a pixel cannot be written back"
        if layout.compression and not (layout.compression == _BIT_FIELDS and masks == _USUAL_MASKS):
            return "a compressed BMP cannot be written back"
        if image.mode not in ("L", "P", "RGB"):
            return "a BMP with opacity cannot be written back"
        return tail_obstacle(data[layout.end :])

    def rewrite(self, data: bytes, pixels: Pixels) -> bytes:
        """See `Container.rewrite`."""
        layout = _layout(data)
        changed = np.frombuffer(data, dtype=np.uint8).copy()
        rows = changed[layout.pixels : layout.end].reshape(layout.height, layout.row)
        rows = rows if layout.downwards else rows[::-1]
        used = layout.width * layout.depth // 8
        if layout.depth == 8:
            start = 14 + layout.header
            palette = changed[start : start + 4 * layout.colours].reshape(-1, 4)
            rows[:, :used], palette[:, :3] = _in_palette(pixels, palette)
        else:
            cells = rows[:, :used].reshape(layout.height, layout.width, -1).copy()
            cells[..., :3] = pixels[..., 2::-1]
            rows[:, :used] = cells.reshape(layout.height, -1)
        return changed.tobytes()


def _in_palette(pixels: Pixels, palette: Pixels) -> tuple[Pixels, Pixels]:
    """Numbers of colours, and the palette's colours from blue to red, shape (n, 3)."""
    opaque = np.full((len(palette), 4), 255, dtype=np.uint8)
    opaque[:, :3] = palette[:, 2::-1]
    seen = pixels.copy()
    seen[..., 3] = 255
    numbers, moved = in_palette(seen, opaque)
    return numbers, moved[:, 2::-1]


def _layout(data: bytes) -> _Layout:
    """Where everything is.

    Raises:
        PictureError: if the header is of another kind, or damaged.
    """
    if len(data) < 54:
        raise PictureError("cannot be decoded (damaged BMP header)")
    start, header = struct.unpack_from("<II", data, 10)
    if header < _INFO:
        raise PictureError("a BMP with a header of OS/2 cannot be written back")
    width, height, _, depth, compression = struct.unpack_from("<iiHHI", data, 18)
    (colours,) = struct.unpack_from("<I", data, 46)
    if depth == 8:
        colours = colours or 256
    layout = _Layout(start, header, width, abs(height), depth, compression, min(colours, 256), height < 0)
    masks = 12 if compression == _BIT_FIELDS and header == _INFO else 0
    before = 14 + header + masks + (4 * layout.colours if depth == 8 else 0)
    if width <= 0 or start < before or layout.end > len(data):
        raise PictureError("cannot be decoded (damaged BMP header)")
    return layout
