"""Places in buckets, as paths: `s3://bucket/shards`, and whatever else fsspec has a file system for.

What is read is brought here file by file and kept while there is room; what is written appears with its last byte. All
waits out a network that fails for a while. Credentials are found by the file system's own chain (environment,
`~/.aws`, roles) and by nothing else: none is ever part of a path.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import io
import os
import re
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PosixPath
from typing import IO, TYPE_CHECKING, Any, TypeVar

from protect.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which a service that does not answer is asked again."""
KEPT = 4 << 30
"""Bytes of files that are kept here, besides the `FEWEST` used last."""
FEWEST = 16
_CURRENT = 30.0
"""Seconds for which a listing is believed."""
_PIECE = 16 << 20
_LONGEST_PAUSE = 8.0
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://?(.*)", re.DOTALL)
_TIMES, _TAGS = ("LastModified", "mtime", "last_modified", "updated", "created"), ("ETag", "etag", "md5Hash")
_NO_RIGHTS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "TokenRetrievalError")
_REFUSED = ("NoAuthHandlerFound", "ParamValidationError", "ProfileNotFound", "InvalidConfigError")


class BucketError(InputError):
    """A bucket that cannot be used: no rights, or no answer. It is no file's fault."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a bucket says about a name."""

    size: int
    changed: int
    """Nanoseconds; those below a second stand for the content's tag, so that another content has another time."""
    is_folder: bool
    told: float


_told: dict[str, _Facts] = {}
"""By URL, what was heard last."""


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
    _file_system(protocol)
    return BucketPath(f"{protocol}://{rest}")


_UPWARDS = frozenset({"", ".", ".."})


def _file_system(protocol: str) -> Any:
    try:
        import fsspec

        return fsspec.filesystem(protocol, use_listings_cache=False)
    except ImportError as error:
        extra = "'tracemark[buckets]'" if protocol == "s3" else f"what reads {protocol}:// ({str(error)[:60]})"
        raise InputError(f"{protocol}:// needs a package that is not installed", f"pip install {extra}") from None
    except ValueError:
        raise InputError(
            f"{protocol}:// is unknown", "Give a path, or the URL of a bucket, such as s3://bucket/folder."
        ) from None


class BucketPath(PosixPath):
    """A file or folder in a bucket.

    It reads like any other path. As an argument of functions that take file names it is the name of a copy on this
    machine, which is made if need be. Only `upload` and `remove` write.
    """

    def __str__(self) -> str:
        return f"{self.parts[0]}//{'/'.join(self.parts[1:])}" if self.parts else ""

    def __fspath__(self) -> str:
        return str(_brought(self))

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
        facts = _facts(self)
        kind = stat.S_IFDIR | 0o755 if facts.is_folder else stat.S_IFREG | 0o644
        seconds = facts.changed // 10**9
        named = {"st_mtime_ns": facts.changed, "st_atime_ns": facts.changed}
        return os.stat_result((kind, 0, 0, 1, 0, 0, facts.size, seconds, seconds, seconds), named)

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file, or there is one below it."""
        try:
            _facts(self)
        except FileNotFoundError:
            return False
        return True

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there are files below it."""
        return self.exists() and _facts(self).is_folder

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        return self.exists() and not _facts(self).is_folder

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
                return _brought(self).open(mode, buffering, encoding, errors, newline)

    def below(self) -> Iterator[str]:
        """All files below it, by their paths inside it. What is listed is believed for a while."""
        prefix = self.parts[1:]
        now, start = time.monotonic(), len("/".join(prefix)) + 1
        listed = _asked(self, lambda system, name: system.find(name, detail=True))
        _told[str(self)] = _Facts(0, 0, True, now)
        for name, info in listed.items():
            if info.get("type") == "directory" or name.endswith("/"):
                continue
            inside = name.lstrip("/")[start:]
            if not _UPWARDS.isdisjoint(inside.split("/")):
                raise InputError(f"{name!r} in {self.bucket} is no name that a file may have", "Rename the object.")
            _told[str(self / inside)] = _from_info(info, now)
            yield inside

    def random(self) -> io.BufferedReader:
        """The file as a stream that reads the parts that are asked for, and no more."""
        return io.BufferedReader(_Parts(self), 1 << 16)

    def upload(self, local: Path) -> None:
        """Put a file of this machine here: it appears when all of it has arrived, large ones in several parts."""
        size = local.stat().st_size
        _told.pop(str(self), None)
        try:
            _asked(self, lambda system, name: system.put_file(str(local), name))
            found = _facts(self)
        except FileNotFoundError:
            raise BucketError(f"{self.bucket} does not exist", "Make the bucket, or give another.") from None
        if found.size != size:
            raise BucketError(f"{self} has {found.size:,} bytes of {size:,}", "Let nothing else write there; repeat.")

    def remove(self) -> None:
        """Delete the file, if it is there."""
        _told.pop(str(self), None)
        with contextlib.suppress(FileNotFoundError):
            _asked(self, lambda system, name: system.rm_file(name))

    def put(self, data: bytes) -> None:
        """Write a small file."""
        with uploading(self) as local:
            local.write_bytes(data)


@contextmanager
def uploading(target: BucketPath) -> Iterator[Path]:
    """A path on this machine; what is written there is in the bucket when the block ends well."""
    local = _room() / f"new-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        yield local
        target.upload(local)
    finally:
        local.unlink(missing_ok=True)


def _asked(path: BucketPath, question: Callable[[Any, str], T]) -> T:
    """Ask the file system, again and again while it does not answer.

    Raises:
        FileNotFoundError: if there is no such file.
        BucketError: if it refuses, or does not answer for `PATIENCE` seconds.
    """
    protocol, name = path.parts[0].removesuffix(":"), "/".join(path.parts[1:])
    system, end, pause = _file_system(protocol), time.monotonic() + PATIENCE, 0.25
    while True:
        try:
            return question(system, name)
        except (FileNotFoundError, InputError, TypeError, AttributeError, NotImplementedError):
            raise
        except Exception as error:
            kind = type(error).__name__
            # Nothing of the message: some name keys and tokens.
            if isinstance(error, PermissionError) or kind in _NO_RIGHTS:
                raise BucketError(
                    f"no right to use {path} ({kind})",
                    "Check the credentials (environment, profile, role) and what the bucket allows.",
                ) from None
            if kind in _REFUSED or time.monotonic() + pause > end:
                raise BucketError(
                    f"{path} does not answer ({kind})", "Check the network and the address, and repeat: a run resumes."
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _facts(path: BucketPath) -> _Facts:
    known = _told.get(str(path))
    if known and time.monotonic() - known.told < _CURRENT:
        return known
    _told.pop(str(path), None)
    now = time.monotonic()
    found = _from_info(_asked(path, lambda system, name: system.info(name)), now)
    _told[str(path)] = found
    return found


def _from_info(info: Mapping[str, Any], now: float) -> _Facts:
    when = next((info[name] for name in _TIMES if info.get(name)), 0)
    if isinstance(when, str):
        when = datetime.fromisoformat(when)
    seconds = int(when.timestamp() if isinstance(when, datetime) else when or 0)
    tag = str(next((info[name] for name in _TAGS if info.get(name)), ""))
    digits = int.from_bytes(hashlib.blake2b(tag.strip('"').encode(), digest_size=8).digest(), "big") % 10**9
    folder = info.get("type") == "directory"
    return _Facts(int(info.get("size") or 0), seconds * 10**9 + digits, folder, now)


def _room() -> Path:
    """The folder of this user on this machine for what was brought."""
    room = Path(tempfile.gettempdir()) / f"tracemark-{os.getuid()}"
    room.mkdir(mode=0o700, exist_ok=True)
    status = room.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise BucketError(f"{room} is not a private folder of yours", "Remove it, or set TMPDIR to another place.")
    return room


def _copy_of(url: str, facts: _Facts) -> Path:
    name = hashlib.sha256(f"{url}\0{facts.size}\0{facts.changed}".encode()).hexdigest()[:40]
    return _room() / f"file-{name}"


def _brought(path: BucketPath) -> Path:
    """The copy on this machine of a file as it is now."""
    facts = _facts(path)
    if facts.is_folder:
        raise IsADirectoryError(21, "is a folder", str(path))
    copy = _copy_of(str(path), facts)
    try:
        os.utime(copy)  # used last
        return copy
    except FileNotFoundError:
        pass
    with _alone(copy.name):
        if not copy.exists():
            _bring(path, facts, copy)
            _make_room()
    return copy


def _bring(path: BucketPath, facts: _Facts, copy: Path) -> None:
    local = copy.with_name(f"new-{os.getpid()}-{uuid.uuid4().hex}")
    try:
        with local.open("wb") as sink:
            for start in range(0, facts.size, _PIECE):
                sink.write(_part(path, start, min(start + _PIECE, facts.size)))
        _told.pop(str(path), None)
        if _facts(path).changed != facts.changed:
            raise OSError(0, "changed while it was read", str(path))
        local.replace(copy)
    finally:
        local.unlink(missing_ok=True)


def _part(path: BucketPath, start: int, end: int) -> bytes:
    data: bytes = _asked(path, lambda system, name: system.cat_file(name, start=start, end=end))
    if len(data) != end - start:
        raise OSError(0, "became shorter while it was read", str(path))
    return data


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep others on this machine from bringing the same file at the same time."""
    import fcntl  # unknown to systems on which nothing here works: what they cannot do is told elsewhere

    with (_room() / f"lock-{name[-2:]}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_room() -> None:
    """Remove the files that were used least lately, and what killed runs left."""
    found = []
    with os.scandir(_room()) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.name.startswith("new-") and not _lives(int(entry.name.split("-")[1])):
                    Path(entry.path).unlink(missing_ok=True)
                if entry.name.startswith("file-"):
                    found.append((entry.stat().st_atime_ns, entry.stat().st_size, entry.path))
    found.sort(reverse=True)
    total = 0
    for number, (_, size, name) in enumerate(found):
        total += size
        if number >= FEWEST and total > KEPT:
            Path(name).unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@atexit.register
def _leave() -> None:
    """Remove what was brought of the files that this program knows."""
    for url, facts in _told.items():
        if not facts.is_folder:
            _copy_of(url, facts).unlink(missing_ok=True)


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
        data = _part(self._path, self._position, end)
        view[: len(data)] = data
        self._position = end
        return len(data)
