"""Tar archives as raw blocks: where every member lies, read from headers alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 512
MOST_EXTENDED = 1 << 20
"""Largest extended header in bytes; a longer one holds no name."""
_CHUNK = 1 << 20
_ZEROS = bytes(BLOCK)
_FILES = frozenset(b"\x0007")
_LINKS_AND_SPECIAL = frozenset(b"123456")
"""Links, devices, folders and pipes: without content, whatever size they tell."""
_FOLDER, _LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL, _SPARSE = b"5LKxgS"


class TarError(Exception):
    """An archive that cannot be read whole; the message says why."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an archive. Its bytes are those from `start` to `end`."""

    name: str
    """As `tarfile` reads it: UTF-8, with surrogates for bytes that are not."""
    kind: int
    """Type flag of the header."""
    header: int
    """Where the header block begins that tells its size; extended headers stand before it."""
    size: int
    resizable: bool
    """Whether that header alone tells the size."""

    @property
    def data(self) -> int:
        """Where its content begins."""
        return self.header + BLOCK

    @property
    def end(self) -> int:
        """Where the next member begins."""
        return self.data + whole_blocks(self.size)

    @property
    def is_file(self) -> bool:
        """Whether it is an ordinary file."""
        return self.kind in _FILES

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.kind == _FOLDER


@dataclass(slots=True)
class _Extended:
    """What the extended headers in front of a member say about it. The first one counts, as for `tarfile`."""

    name: str | None = None
    size: int | None = None

    def take_in(self, kind: int, content: bytes) -> None:
        """Read one more of them."""
        if kind == _LONG_NAME:
            self._set(_text(content.partition(b"\0")[0]), None)
        elif kind in (_EXTENDED, _GLOBAL):
            records = dict(_records(content))
            if any(key.startswith(b"GNU.sparse") for key in records):
                raise TarError("a member is stored with holes (sparse)")
            path, size = records.get(b"path"), records.get(b"size")
            if kind == _GLOBAL and (path or size):
                raise TarError("one header gives the same name or size to all members")
            self._set(None if path is None else _text(path).rstrip("/"), None if size is None else _decimal(size))

    def _set(self, name: str | None, size: int | None) -> None:
        self.name = name if self.name is None else self.name
        self.size = size if self.size is None else self.size


def members(stream: BinaryIO) -> Iterator[Member]:
    """All members in order, read from their headers alone.

    Args:
        stream: a seekable file; its position may change between two members.

    Raises:
        TarError: if the archive is cut short, damaged or of a kind unknown here, as soon as that is met.
    """
    length = stream.seek(0, os.SEEK_END)
    position, extended = 0, _Extended()
    while (block := _block(stream, position)) != _ZEROS:
        kind, size = block[156], _size(block, position)
        if kind in (_LONG_NAME, _LONG_LINK, _EXTENDED, _GLOBAL):
            extended.take_in(kind, _content(stream, position, size))
            position += BLOCK + whole_blocks(size)
            continue
        member = _member(block, position, size, extended)
        position, extended = member.end, _Extended()
        if position > length:
            raise TarError(f"cut short in the middle of {member.name}")
        yield member
    _check_rest(stream, position)


def _block(stream: BinaryIO, position: int) -> bytes:
    stream.seek(position)
    block = stream.read(BLOCK)
    if len(block) < BLOCK:
        raise TarError("cut short in the middle of a header" if block else "cut short: it has no end mark")
    return block


def _size(block: bytes, position: int) -> int:
    """Content length that a header tells, once its checksum is right."""
    try:
        told, size = _number(block[148:156]), _number(block[124:136])
    except ValueError:
        told, size = -1, -1
    if size < 0 or told not in checksums(block):
        raise TarError(f"damaged header at byte {position}")
    return size


def checksums(block: bytes) -> tuple[int, int]:
    """The header's sum with blanks in place of the sum; some old programs take bytes for signed numbers."""
    rest = block[:148] + block[156:]
    unsigned = sum(rest) + 8 * ord(" ")
    return unsigned, unsigned if rest.isascii() else unsigned - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int:
    """A number in octal digits, or in base 256 if the first bit is set."""
    if field[0] in (0x80, 0xFF):
        return int.from_bytes(field[1:], "big") - (256 ** (len(field) - 1) if field[0] == 0xFF else 0)
    return int(field.partition(b"\0")[0].strip() or b"0", 8)


def _content(stream: BinaryIO, position: int, size: int) -> bytes:
    if size > MOST_EXTENDED:
        raise TarError(f"extended header of {size} bytes at byte {position}")
    stream.seek(position + BLOCK)
    content = stream.read(size)
    if len(content) < size:
        raise TarError("cut short in the middle of a header")
    return content


def _records(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of every record `LENGTH KEY=VALUE` and a line's end."""
    while content and content[0]:
        digits = content.partition(b" ")[0]
        length = _decimal(digits)
        key, equals, value = content[len(digits) + 1 : length].partition(b"=")
        if length > len(content) or not equals or not value.endswith(b"\n"):
            raise TarError("damaged extended header")
        yield key, value[:-1]
        content = content[length:]


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 18:
        raise TarError("damaged extended header")
    return int(digits)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _member(block: bytes, position: int, size: int, extended: _Extended) -> Member:
    name = _text(block[:100].partition(b"\0")[0])
    kind = _FOLDER if not block[156] and name.endswith("/") else block[156]  # as the oldest programs mark folders
    if prefix := _text(block[345:500].partition(b"\0")[0]):
        name = f"{prefix}/{name}"
    name = name if extended.name is None else extended.name
    if kind == _SPARSE:
        raise TarError(f"{name} is stored with holes (sparse)")
    told = size if extended.size is None else extended.size
    return Member(
        name=name.rstrip("/") if kind == _FOLDER else name,
        kind=kind,
        header=position,
        size=0 if kind in _LINKS_AND_SPECIAL else told,
        resizable=extended.size is None,
    )


def _check_rest(stream: BinaryIO, end: int) -> None:
    stream.seek(end)
    while chunk := stream.read(_CHUNK):
        if chunk.strip(b"\0"):
            raise TarError("holds more behind its end mark, where readers would not find it")


def whole_blocks(size: int) -> int:
    """Bytes that a content takes in an archive."""
    return -(-size // BLOCK) * BLOCK
