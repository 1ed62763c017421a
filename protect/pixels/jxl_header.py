"""The first bits of a JPEG XL file (ISO/IEC 18181-1): its plug-in decodes all before it tells the size."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_BARE = b"\xff\x0a"
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_SIZE_BITS = (9, 13, 18, 30)


@dataclass(frozen=True, slots=True)
class JxlBox:
    """A box of a JPEG XL container."""

    kind: bytes
    start: int
    """Offset of the box in the file."""
    content: int
    """Offset of what is in it."""
    end: int


def is_jxl(data: bytes) -> bool:
    """Whether a file is JPEG XL, bare or in a container."""
    return data.startswith((_BARE, _CONTAINER))


def is_bare(data: bytes) -> bool:
    """Whether a file is a codestream without a container."""
    return data.startswith(_BARE)


def boxes(data: bytes) -> Iterator[JxlBox]:
    """The boxes of a container; ends at the first damaged one."""
    start = 0
    while start + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        content = start + 8
        if length == 1:
            if start + 16 > len(data):
                return
            (length,) = struct.unpack(">Q", data[start + 8 : start + 16])
            content += 8
        end = len(data) if length == 0 else start + length
        if end < content or end > len(data):
            return
        yield JxlBox(kind, start, content, end)
        start = end


def codestream_start(data: bytes) -> bytes:
    """The first bytes of the codestream, empty if there is none."""
    if is_bare(data):
        return data[:64]
    for box in boxes(data):
        if box.kind in (b"jxlc", b"jxlp"):
            skipped = 4 if box.kind == b"jxlp" else 0
            return data[box.content + skipped : min(box.end, box.content + skipped + 64)]
    return b""


def size(data: bytes) -> tuple[int, int]:
    """Width and height; (0, 0) if unknown."""
    bits = _Bits(codestream_start(data)[2:])
    return _size(bits) if bits.left >= 16 else (0, 0)


def is_lossy_and_plain(data: bytes) -> tuple[bool, bool]:
    """Whether the picture is coded in the lossy colour space XYB, and whether it is plain.

    Plain: 8 bit numbers, upright, no preview, no animation.
    """
    bits = _Bits(codestream_start(data)[2:])
    _size(bits)
    if bits.take(1):  # all metadata have their defaults
        return True, True
    if bits.take(1):  # extra fields: orientation, intrinsic size, preview, animation
        orientation = bits.take(3)
        if orientation or bits.take(1) or bits.take(1) or bits.take(1):
            return True, False
    if bits.take(1) or bits.take(2) != 0:  # floating point, or not 8 bit
        return True, False
    bits.take(1)  # buffers of 16 bit suffice
    if _skip_extra_channels(bits):
        return bool(bits.take(1)), True
    return True, False


def _skip_extra_channels(bits: _Bits) -> bool:
    """Whether there is no extra channel, or one default alpha channel; it is skipped."""
    selector = bits.take(2)
    return selector == 0 or (selector == 1 and bool(bits.take(1)))


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.take(_SIZE_BITS[bits.take(2)]) + 1
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio - 1]
        return height * across // down, height
    return (8 * (bits.take(5) + 1) if small else bits.take(_SIZE_BITS[bits.take(2)]) + 1), height


class _Bits:
    """Bits from the least significant one on; zeros after the end."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self.left = 8 * len(data)

    def take(self, count: int) -> int:
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self.left -= count
        return value
