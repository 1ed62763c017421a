"""Places in buckets, as paths: `s3://bucket/shards`, and whatever else fsspec has a file system for."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import IO, TYPE_CHECKING, Any

from protect.buckets.copies import brought, room
from protect.buckets.service import BucketError, Facts, asked, facts_from, facts_of, file_system, part_of, told
from protect.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://?(.*)", re.DOTALL)
_UPWARDS = frozenset({"", ".", ".."})


def place(text: str | Path) -> Path:
    """A path as given by people: in a bucket if it is a URL.

    Raises:
        InputError: if it holds credentials, names no bucket, or no file system is known for it.

    >>> place("cats"), str(place("s3://bucket/cats/"))
    (PosixPath('cats'), 's3://bucket/cats')
    """
    found = _URL.fullmatch(str(text))
    if not found or Path(text).exists():
        return Path(text)
    protocol, rest = found.groups()
    if "@" in rest.partition("/")[0] or "?" in rest:
        raise InputError(
            f"the URL {protocol}://… holds credentials or options", "Set them in the environment or in a profile."
        )
    if not rest.strip("/") or not _UPWARDS.isdisjoint(rest.strip("/").split("/")):
        raise InputError(f"{text} names no place in a bucket", f"Write {protocol}://BUCKET/FOLDER.")
    if protocol in ("file", "local", "http", "https"):
        raise InputError(f"{protocol}:// is no bucket", "Give a path on this machine, or a bucket such as s3://….")
    file_system(protocol)
    return BucketPath(f"{protocol}://{rest}")


class BucketPath(PosixPath):
    """A file or folder in a bucket.

    It reads like any other path. As an argument of functions that take file names it is the name of a copy on this
    machine, which is made if need be. Only `upload` and `remove` write.
    """

    def __str__(self) -> str:
        return f"{self.parts[0]}//{'/'.join(self.parts[1:])}" if self.parts else ""

    def __fspath__(self) -> str:
        return str(brought(self))

    def __reduce__(self) -> tuple[type[BucketPath], tuple[str, ...]]:
        return BucketPath, self.parts

    @property
    def bucket(self) -> BucketPath:
        """The bucket that it lies in."""
        return BucketPath(*self.parts[:2])

    def absolute(self) -> BucketPath:
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> BucketPath:
        """Itself."""
        return self

    def is_absolute(self) -> bool:
        """Yes."""
        return True

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, and time of the last change."""
        facts = facts_of(self)
        kind = stat.S_IFDIR | 0o755 if facts.is_folder else stat.S_IFREG | 0o644
        seconds = facts.changed // 10**9
        named = {"st_mtime_ns": facts.changed, "st_atime_ns": facts.changed}
        return os.stat_result((kind, 0, 0, 1, 0, 0, facts.size, seconds, seconds, seconds), named)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file, or there is one below it."""
        try:
            facts_of(self)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there are files below it."""
        return self.exists() and facts_of(self).is_folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        return self.exists() and not facts_of(self).is_folder

    def is_symlink(self) -> bool:
        """No."""
        return False

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Open a copy on this machine for reading."""
        if set(mode) & set("wax+"):
            raise InputError(f"{self} cannot be written to piece by piece", "Give a path on this machine.")
        while True:
            with contextlib.suppress(FileNotFoundError):  # another process made room just now
                return brought(self).open(mode, buffering, encoding, errors, newline)

    def below(self) -> Iterator[str]:
        """All files below it, by their paths inside it. What is listed is believed for a while."""
        prefix = self.parts[1:]
        now, start = time.monotonic(), len("/".join(prefix)) + 1
        listed = asked(self, lambda system, name: system.find(name, detail=True))
        told[str(self)] = Facts(0, 0, True, now)
        for name, info in listed.items():
            if info.get("type") == "directory" or name.endswith("/"):
                continue
            inside = name.lstrip("/")[start:]
            if not _UPWARDS.isdisjoint(inside.split("/")):
                raise InputError(f"{name!r} in {self.bucket} is no name that a file may have", "Rename the object.")
            told[str(self / inside)] = facts_from(info, now)
            yield inside

    def random(self) -> io.BufferedReader:
        """The file as a stream that reads the parts that are asked for, and no more."""
        return io.BufferedReader(_Parts(self), 1 << 16)

    def upload(self, local: Path) -> None:
        """Put a file of this machine here: it appears when all of it has arrived, large ones in several parts."""
        size = local.stat().st_size
        told.pop(str(self), None)
        try:
            asked(self, lambda system, name: system.put_file(str(local), name))
            found = facts_of(self)
        except FileNotFoundError:
            raise BucketError(f"{self.bucket} does not exist", "Make the bucket, or give another.") from None
        if found.size != size:
            raise BucketError(f"{self} has {found.size:,} bytes of {size:,}", "Let nothing else write there; repeat.")

    def remove(self) -> None:
        """Delete the file, if it is there."""
        told.pop(str(self), None)
        with contextlib.suppress(FileNotFoundError):
            asked(self, lambda system, name: system.rm_file(name))

    def put(self, data: bytes) -> None:
        """Write a small file."""
        with uploading(self) as local:
            local.write_bytes(data)


@contextmanager
def uploading(target: BucketPath) -> Iterator[Path]:
    """A path on this machine; what is written there is in the bucket when the block ends well."""
    local = room() / f"new-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        yield local
        target.upload(local)
    finally:
        local.unlink(missing_ok=True)


class _Parts(io.RawIOBase):
    """Reads parts of a file as they are asked for."""

    def __init__(self, path: BucketPath) -> None:
        self._path, self._position = path, 0
        self._size = path.stat().st_size

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._position + len(view), self._size)
        if end <= self._position:
            return 0
        data = part_of(self._path, self._position, end)
        view[: len(data)] = data
        self._position = end
        return len(data)
