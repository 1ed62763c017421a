"""Small file helpers: nothing is ever half-written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from protect.buckets import BucketPath
from protect.errors import InputError

_PIECE = 1 << 20
PARTIAL = ".partial"
"""Ending of what is not finished."""


@contextmanager
def new_file(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file that appears under its name only when the block ends well: written beside it, fsynced, renamed.

    Args:
        path: destination; its folder must exist. A device or a pipe is written to directly.
        mode: permission bits of the new file, set before any byte is written.

    Raises:
        InputError: if the folder is missing, read-only or full.
    """
    system = path.is_absolute() and path.parts[1:2] in {("dev",), ("proc",)}
    path = path if system else path.resolve()
    # Not the name with an ending: it may have the greatest length already.
    partial = path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:24]}{PARTIAL}")
    try:
        if path.exists() and (system or not path.is_file()):  # renaming over a device or a pipe would destroy it
            with path.open("wb") as stream:
                yield stream
            return
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}", "Free space or choose a writable folder.") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder that appears under its name only when the block ends well; what a killed run left is cleared first.

    Args:
        path: destination; must not exist, or be an empty folder.

    Raises:
        InputError: if it exists, or cannot be written.
    """
    path = path.resolve()
    partial = path.with_name(path.name + PARTIAL)
    try:
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            raise InputError(f"{path} is not empty" if path.is_dir() else f"{path} is a file", "Give a new folder.")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        if path.exists():
            path.rmdir()
        partial.rename(path)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"cannot write {path}: {error.strerror}", "Free space or choose a writable folder.") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a whole file (see `new_file`), in a bucket too."""
    if isinstance(path, BucketPath):
        path.put(data)
        return
    with new_file(path, mode) as stream:
        stream.write(data)


def private_folder(path: Path) -> Path:
    """A folder readable by its owner only, made if need be; so are those above it that are made with it.

    Raises:
        InputError: if it cannot be made.
    """
    try:
        if not path.parent.exists():
            private_folder(path.parent)  # `parents=True` would leave these to the umask
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot use the folder {path}: {error.strerror}", "Choose a writable folder.") from None
    return path


def check_spelling(path: Path) -> None:
    """Refuse a path that no record or page could name.

    Raises:
        InputError: if it is not UTF-8.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise InputError(f"the path {path} is not UTF-8", "Rename it, or set a locale that uses UTF-8.") from None


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8."""
    return _CANONICAL.encode(value).encode()


def pretty_json(value: Any) -> bytes:
    """JSON for people and diffs, ending in a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def read_file(path: str) -> bytes:
    """A file's bytes. Path objects take more time and memory, where there is one for each sample.

    Raises:
        OSError: if it cannot be read.
    """
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path, *, link: bool = False) -> None:
    """Copy bytes, times and permissions (but writable by the owner).

    No extended attributes, since rewritten files would lack them.

    Args:
        source: file to copy.
        target: must not exist if linked.
        link: make a hard link where the file system allows it: nothing is copied, and both names are one file.
    """
    if link:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)
    copy_mode_and_times(source.stat(), target)


def append_file(source: Path, target: BinaryIO) -> None:
    """Write all bytes of a file to the end of another, which is open for writing."""
    with source.open("rb") as part:
        shutil.copyfileobj(part, target, _PIECE)


def copy_mode_and_times(status: os.stat_result, target: Path) -> None:
    """Give `target` the permissions and times of another file; its owner can always write it again."""
    target.chmod(status.st_mode & 0o777 | 0o200)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def size_and_time(path: Path) -> tuple[int, int]:
    """What tells that a file was changed meanwhile: its bytes, and the time of its last change in nanoseconds."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def lock_file(descriptor: int, *, wait: bool) -> bool:
    """Lock an open file against other processes; the lock dies with its process.

    Args:
        descriptor: of a file that is open for writing.
        wait: until whoever holds the lock gives it up.

    Returns:
        Whether it is locked now.

    Raises:
        InputError: if this system knows no such locks.
    """
    try:
        import fcntl
    except ImportError:
        raise InputError(
            f"this system ({os.name}) has no file locks as POSIX knows them", "Supported are Linux and macOS."
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def boot_id() -> str:
    """What changes whenever the machine starts anew."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # not Linux: the minute in which it started, nearly
        return str(round((time.time() - time.monotonic()) / 100))


def default_home() -> Path:
    """The keyring's folder for commands: `TRACEMARK_HOME`, else `~/.tracemark`."""
    return Path(os.environ.get("TRACEMARK_HOME") or Path.home() / ".tracemark")


def default_cache() -> Path:
    """The folder for what can be computed again: `TRACEMARK_CACHE`, else the platform's cache folder."""
    import platformdirs

    return Path(os.environ.get("TRACEMARK_CACHE") or platformdirs.user_cache_path("tracemark"))
