"""Tar files on disk, plain or compressed with gzip, as streams that can be read anywhere, from any thread."""

from __future__ import annotations

import gzip
import io
import os
import tempfile
import threading
import zlib
from collections import OrderedDict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from protect.errors import InputError
from protect.formats.tar import TarError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

SUFFIXES = (".tar", ".tar.gz", ".tgz")
"""Endings of the files that are read here."""
MOST_EXPANSION = 200
"""An archive that grows by more than this is a bomb: pictures hardly shrink, headers of tiny files less than this."""
SMALL = 64 << 20
"""Bytes up to which any growth is allowed."""
SCRATCH = 8 << 30
"""Bytes of decompressed archives that are kept at the same time, besides those in use."""
_CHUNK = 1 << 20
_GZIP = b"\x1f\x8b"
_EXTRA, _NAME, _COMMENT, _TEXT = 4, 8, 16, 1
"""Flags of a gzip header."""


def stem_of(path: str) -> str:
    """A tar file's path without its ending.

    >>> stem_of("train/00000.tar.gz"), stem_of("a.TGZ")
    ('train/00000', 'a')
    """
    return next((path[: -len(suffix)] for suffix in SUFFIXES if path.lower().endswith(suffix)), path)


class Expanded:
    """A decompressed archive in a file without a name, which vanishes with this object."""

    def __init__(self, path: Path) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with this object
        try:
            self.size = _expand(path, self._file)
        except BaseException:
            self._file.close()
            raise

    def open(self) -> BinaryIO:
        """A stream with a position of its own."""
        return io.BufferedReader(_Part(self))

    def read_at(self, position: int, size: int) -> bytes:
        """At most so many bytes from a position."""
        return os.pread(self._file.fileno(), size, position)

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()


class _Part(io.RawIOBase):
    """A position in an expanded archive; keeps it alive."""

    def __init__(self, archive: Expanded) -> None:
        self._archive, self._position = archive, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._archive.size}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._archive.read_at(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)


def _expand(path: Path, sink: BinaryIO) -> int:
    """Decompress a whole file; bytes written."""
    limit, size = max(SMALL, MOST_EXPANSION * path.stat().st_size), 0
    try:
        with gzip.open(path) as source:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise TarError(f"grows to more than {limit >> 20} MiB when decompressed: a bomb?")
                _store(sink, chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise TarError("cut short or damaged: not all of it can be decompressed") from None
    _store(sink, b"")
    return size


def _store(sink: BinaryIO, chunk: bytes) -> None:
    try:
        sink.write(chunk) if chunk else sink.flush()
    except OSError as error:
        raise InputError(
            f"no room to decompress an archive in {tempfile.gettempdir()}: {error.strerror}",
            "Set TMPDIR to a folder with more room, or decompress the dataset first.",
        ) from error


class Scratch:
    """Decompressed archives, those used last. All threads share them."""

    def __init__(self, most: int = SCRATCH) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[Path, Expanded] = OrderedDict()
        self._making: dict[Path, threading.Lock] = {}

    def __reduce__(self) -> tuple[type[Scratch], tuple[int]]:
        """Another process keeps its own."""
        return Scratch, (self._most,)

    def expanded(self, path: Path) -> Expanded:
        """The decompressed archive; made if it is not kept.

        Raises:
            TarError: if it is damaged or a bomb.
        """
        with self._lock:
            making = self._making.setdefault(path, threading.Lock())
        with making:
            with self._lock:
                found = self._kept.get(path)
            found = found or Expanded(path)
            self._keep(path, found)
        return found

    def _keep(self, path: Path, archive: Expanded) -> None:
        with self._lock:
            self._kept[path] = archive
            self._kept.move_to_end(path)
            while len(self._kept) > 1 and sum(one.size for one in self._kept.values()) > self._most:
                self._kept.popitem(last=False)


class TarFile:
    """A tar file on disk."""

    def __init__(self, path: Path, scratch: Scratch) -> None:
        self.path, self._scratch = path, scratch

    @cached_property
    def compressed(self) -> bool:
        """Whether it is compressed, whatever its name says: readers look at the first bytes, too."""
        with self.path.open("rb") as file:
            return file.read(2) == _GZIP

    def open(self) -> BinaryIO:
        """The archive without its compression.

        Raises:
            TarError: if it cannot be decompressed.
            OSError: if it cannot be read.
        """
        return self._scratch.expanded(self.path).open() if self.compressed else self.path.open("rb")

    def read(self, position: int, size: int) -> bytes:
        """Some of its bytes; from any thread.

        Raises:
            OSError: if they cannot be read.
        """
        try:
            with self.open() as stream:
                stream.seek(position)
                data = stream.read(size)
        except TarError as error:
            raise OSError(f"{self.path.name}: {error}") from None
        if len(data) < size:
            raise OSError(f"{self.path.name} became shorter while it was read")
        return data


class GzipSink(io.RawIOBase):
    """Compresses what is written to it, under the header of another gzip file: same time, name and level.

    Args:
        sink: where the compressed bytes go; stays open.
        like: the gzip file.
    """

    def __init__(self, sink: BinaryIO, like: Path) -> None:
        header, level = _header(like)
        self._sink, self._sum, self._size = sink, 0, 0
        self._deflate = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
        sink.write(header)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Compress some bytes."""
        size = memoryview(data).nbytes
        self._sum, self._size = zlib.crc32(data, self._sum), self._size + size
        self._sink.write(self._deflate.compress(data))
        return size

    def close(self) -> None:
        """Write what is left, and the sums."""
        if not self.closed:
            self._sink.write(self._deflate.flush() + self._sum.to_bytes(4, "little"))
            self._sink.write((self._size & 0xFFFFFFFF).to_bytes(4, "little"))
        super().close()


def _header(path: Path) -> tuple[bytes, int]:
    """A gzip file's header, without extra fields, and the level of compression it speaks of."""
    with path.open("rb") as file:
        fixed, rest = file.read(10), file.read(1 << 17)
    flags = fixed[3]
    if flags & _EXTRA:
        rest = rest[2 + int.from_bytes(rest[:2], "little") :]
    strings = rest.split(b"\0", 2)[: bool(flags & _NAME) + bool(flags & _COMMENT)]
    header = fixed[:3] + bytes([flags & (_TEXT | _NAME | _COMMENT)]) + fixed[4:]
    return header + b"".join(string + b"\0" for string in strings), {2: 9, 4: 1}.get(fixed[8], 6)
