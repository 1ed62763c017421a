"""The strips or tiles of a TIFF file, packed as they were (Adobe TIFF 6.0)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.pixels.containers.tiff_directory import first_directory
from protect.pixels.decode import Pixels

_PLAIN, _LZW, _PACK_BITS = 1, 5, 32773
_DEFLATE = frozenset({8, 32946})
COMPRESSIONS = _DEFLATE | {_PLAIN, _LZW, _PACK_BITS}
"""The kinds that can be packed again."""
_NAMES = {_LZW: "tiff_lzw", _PACK_BITS: "packbits"}
_LEVELS = (1, 5, 6, 9)
"""Levels of deflate by the two bits in which a stream names them."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How a picture is cut into strips or tiles."""

    height: int
    width: int
    rows: int
    columns: int
    padded: bool
    """Whether the parts at the edges are filled up to full size, as tiles are."""

    @property
    def count(self) -> int:
        """Number of parts."""
        if self.rows <= 0 or self.columns <= 0:
            return 0
        return -(-self.height // self.rows) * -(-self.width // self.columns)


def packed_strips(cells: Pixels, grid: Grid, compression: int, predictor: int, example: bytes) -> Iterator[bytes]:
    """Pack a picture.

    Args:
        cells: numbers, shape (H, W, channels).
        grid: how it is cut.
        compression: tag 259, one of `COMPRESSIONS`.
        predictor: tag 317; 2 packs differences along rows.
        example: a strip of the original, for its level of deflate.
    """
    level = _LEVELS[example[1] >> 6] if len(example) > 1 else 6
    for top in range(0, grid.height, grid.rows):
        for left in range(0, grid.width, grid.columns):
            part = cells[top : top + grid.rows, left : left + grid.columns]
            if grid.padded:
                missing = ((0, grid.rows - part.shape[0]), (0, grid.columns - part.shape[1]), (0, 0))
                part = np.pad(part, missing, mode="edge")
            if predictor == 2:
                part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
            yield _packed(part, compression, level)


def _packed(part: Pixels, compression: int, level: int) -> bytes:
    if compression == _PLAIN:
        return part.tobytes()
    if compression in _DEFLATE:
        return zlib.compress(part.tobytes(), level)
    rows = np.ascontiguousarray(part).reshape(part.shape[0], -1)
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, format="TIFF", compression=_NAMES[compression], strip_size=rows.size + 1)
    data = buffer.getvalue()
    directory = first_directory(data)
    starts, lengths = directory.numbers(data, 273), directory.numbers(data, 279)
    return b"".join(data[start : start + length] for start, length in zip(starts, lengths, strict=True))
