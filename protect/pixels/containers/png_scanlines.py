"""The rows of a PNG file: how they were filtered and compressed, and doing so again with other pixels.

Every row gets the filter that it had, and the compressor the setting which packs the original most nearly as it was.
So the size of a file says little about whether its pixels changed.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.pixels.containers.png_chunks import Header
from protect.pixels.decode import Pixels
from protect.pixels.error import PictureError

Samples = NDArray[np.uint8] | NDArray[np.uint16]
_ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
"""First row, first column, step of rows, step of columns of each pass."""
_WHOLE = ((0, 0, 1, 1),)
_BLOCK = 1 << 20
_TRIED = 1 << 19
"""Bytes on which settings of the compressor are compared."""
_LEVELS = ((1,), (3, 5), (6,), (7, 9))
"""Levels by the two bits in which a zlib stream names them."""


@dataclass(frozen=True, slots=True)
class Packing:
    """A setting of zlib."""

    level: int
    window: int
    strategy: int

    def compressor(self) -> zlib._Compress:
        """A new stream."""
        return zlib.compressobj(self.level, zlib.DEFLATED, self.window, 8, self.strategy)


def raw_rows(header: Header, coded: bytes) -> bytes:
    """The rows, each after the number of its filter, of all passes.

    Raises:
        PictureError: if they are not whole.
    """
    expected = sum(rows * (1 + size) for rows, size in _pass_shapes(header))
    try:
        raw = zlib.decompressobj().decompress(coded, expected)
    except zlib.error as error:
        raise PictureError(f"cannot be decoded ({error})") from None
    if len(raw) != expected:
        raise PictureError("cannot be decoded (rows are missing)")
    return raw


def packing_of(coded: bytes, raw: bytes) -> Packing:
    """The setting of zlib that packs the first rows most nearly into as many bytes as they took."""
    sample = raw[:_TRIED]
    stream = zlib.decompressobj()
    stream.decompress(coded, len(sample))
    taken = len(coded) - len(stream.unconsumed_tail) - len(stream.unused_data)
    window = min(15, max(9, (coded[0] >> 4) + 8))
    strategies = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED, zlib.Z_RLE)
    settings = [Packing(level, window, way) for level in _LEVELS[coded[1] >> 6] for way in strategies]
    return min(settings, key=lambda setting: abs(_packed_size(setting, sample) - taken))


def packed(header: Header, samples: Samples, raw: bytes, packing: Packing) -> bytes:
    """Image data of other pixels.

    Args:
        header: of the file.
        samples: numbers as stored, shape (H, W, channels); 16 bit ones as `uint16`.
        raw: the rows of the original, for their filters.
        packing: the setting of zlib.
    """
    compressor = packing.compressor()
    return b"".join(map(compressor.compress, _filtered_blocks(header, samples, raw))) + compressor.flush()


def _packed_size(packing: Packing, sample: bytes) -> int:
    compressor = packing.compressor()
    return len(compressor.compress(sample)) + len(compressor.flush())


def _passes(header: Header) -> Sequence[tuple[int, int, int, int]]:
    return _ADAM7 if header.interlaced else _WHOLE


def _pass_shapes(header: Header) -> Iterator[tuple[int, int]]:
    """Rows and bytes a row of every pass that is not empty."""
    for top, left, down, across in _passes(header):
        rows, columns = -(-(header.height - top) // down), -(-(header.width - left) // across)
        if rows > 0 and columns > 0:
            yield rows, header.row_bytes(columns)


def _filtered_blocks(header: Header, samples: Samples, raw: bytes) -> Iterator[bytes]:
    position = 0
    for top, left, down, across in _passes(header):
        part = samples[top::down, left::across]
        if not part.size:
            continue
        rows = _as_bytes(header, part)
        end = position + rows.shape[0] * (1 + rows.shape[1])
        kinds = np.frombuffer(raw, dtype=np.uint8, count=end - position, offset=position)[:: 1 + rows.shape[1]]
        position = end
        count = max(1, _BLOCK // rows.shape[1])
        for first in range(0, len(rows), count):
            yield _filtered(rows, kinds, first, min(first + count, len(rows)), header.step)


def _as_bytes(header: Header, samples: Samples) -> Pixels:
    """Numbers of one pass as rows of bytes, shape (rows, bytes)."""
    flat = samples.reshape(len(samples), -1)
    if header.depth == 16:
        return flat.astype(">u2").view(np.uint8)
    if header.depth == 8:
        return np.ascontiguousarray(flat, dtype=np.uint8)
    bits = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - header.depth :]
    return np.packbits(bits.reshape(len(flat), -1), axis=1)


def _filtered(rows: Pixels, kinds: Pixels, first: int, last: int, step: int) -> bytes:
    """Rows `first` to `last` (exclusive), each filtered by its kind and after its number."""
    size = rows.shape[1]
    above = np.zeros((last - first, size), dtype=np.uint8)
    above[0 if first else 1 :] = rows[max(0, first - 1) : last - 1]
    out = np.empty((last - first, 1 + size), dtype=np.uint8)
    out[:, 0] = kinds[first:last]
    for kind in np.unique(kinds[first:last]):
        chosen = kinds[first:last] == kind
        out[chosen, 1:] = _differences(int(kind), rows[first:last][chosen], above[chosen], step)
    return out.tobytes()


def _differences(kind: int, rows: Pixels, above: Pixels, step: int) -> Pixels:
    """What a filter makes of rows, each given with the one above it."""
    if kind == 0:
        return rows
    if kind == 2:
        return rows - above
    left = _shifted(rows, step)
    if kind == 1:
        return rows - left
    if kind == 3:
        return rows - ((left.astype(np.uint16) + above) >> 1).astype(np.uint8)
    if kind == 4:
        return rows - _paeth(left, above, _shifted(above, step))
    raise PictureError("cannot be decoded (unknown PNG filter)")


def _shifted(rows: Pixels, step: int) -> Pixels:
    out = np.zeros_like(rows)
    out[:, step:] = rows[:, : rows.shape[1] - step]
    return out


def _paeth(left: Pixels, above: Pixels, corner: Pixels) -> Pixels:
    """Whichever of the three is nearest to left + above - corner; ties in this order."""
    a, b, c = (part.astype(np.int16) for part in (left, above, corner))
    to_left, to_above, to_corner = np.abs(b - c), np.abs(a - c), np.abs(a + b - 2 * c)
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
