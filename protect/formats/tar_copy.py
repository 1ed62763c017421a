"""A copy of a tar archive in which only some members are written anew."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterable
from typing import BinaryIO, Protocol

from protect.formats.tar import BLOCK, Member, checksums, whole_blocks

RECORD = 20 * BLOCK
"""Most programs fill an archive up to a multiple of this."""
_CHUNK = 1 << 20


class Sink(Protocol):
    """What bytes are written to; it takes all of them at once."""

    def write(self, data: bytes, /) -> int:
        """Write some bytes."""
        ...


def copy_changed(source: BinaryIO, sink: Sink, end: int, changes: Iterable[tuple[Member, bytes]]) -> None:
    """Copy an archive with other contents for some members; every other block stays as it is.

    A changed member keeps its headers but for size and checksum. An archive that fills whole records goes on doing so.

    Args:
        source: the archive; its position may change while `changes` are computed.
        sink: written from where it stands.
        end: where the last member ends.
        changes: members in the order of the archive, each with its new content.

    Raises:
        OSError: if the archive became shorter meanwhile.
    """
    length = source.seek(0, os.SEEK_END)
    position = written = 0
    for member, content in changes:
        written += _copy(source, sink, position, member.header) + BLOCK + whole_blocks(len(content))
        source.seek(member.header)
        sink.write(_resized(source.read(BLOCK), len(content)))
        sink.write(content)
        sink.write(bytes(-len(content) % BLOCK))
        position = member.end
    if length % RECORD:
        _copy(source, sink, position, length)
    else:
        written += _copy(source, sink, position, end) + 2 * BLOCK
        sink.write(bytes(2 * BLOCK + -written % RECORD))


def _copy(source: BinaryIO, sink: Sink, start: int, end: int) -> int:
    position = start + (_copy_inside_kernel(source, sink, start, end) if end - start > _CHUNK else 0)
    source.seek(position)
    while position < end:
        chunk = source.read(min(_CHUNK, end - position))
        if not chunk:
            raise OSError("an archive became shorter while it was read")
        sink.write(chunk)
        position += len(chunk)
    return end - start


def _copy_inside_kernel(source: BinaryIO, sink: Sink, start: int, end: int) -> int:
    """Copy between two files without reading into this program, as far as the system does that; bytes copied."""
    done = 0
    if isinstance(source, io.BufferedReader) and isinstance(sink, io.BufferedWriter) and hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):  # not files, or not on one file system: the rest is copied here
            sink.flush()
            while count := os.copy_file_range(source.fileno(), sink.fileno(), end - start - done, start + done):
                done += count
                if done == end - start:
                    break
    return done


def _resized(header: bytes, size: int) -> bytes:
    """A header block with another size, its numbers written in the same style."""
    end = header[135:136]
    digits = b"%012o" % size if end.isdigit() else b"%011o" % size + (end if end in b"\0 " else b"\0")
    sized = header[:124] + digits + header[136:]
    tail = header[154:156] if not header[154:156].strip(b"\0 ") else b"\0 "
    return sized[:148] + b"%06o" % checksums(sized)[0] + tail + sized[156:]
