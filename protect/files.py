"""Small file helpers: nothing is ever half-written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from protect.errors import InputError


def write_atomic(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `data` under a temporary name in the same folder, fsync, rename over `path`.

    Args:
        path: destination; its folder must exist.
        data: the whole content.
        mode: permission bits of the new file, set before any byte is written.

    Raises:
        InputError: if the folder is missing, read-only or full.
    """
    system = path.absolute().parts[1] in {"dev", "proc"} if path.is_absolute() else False
    path = path if system else path.resolve()
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.exists() and (system or not path.is_file()):  # a device or a pipe: renaming over it would destroy it
            path.write_bytes(data)
            return
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"cannot write {path}: {error.strerror}", "Free space or choose a writable folder.") from error


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def pretty_json(value: Any) -> bytes:
    """JSON for people and diffs, ending in a newline."""
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy_file(source: Path, target: Path) -> None:
    """Copy bytes, times and permissions (but writable by the owner).

    No extended attributes, since rewritten files would lack them.
    """
    shutil.copyfile(source, target)
    dress(target, source.stat())


def dress(target: Path, status: os.stat_result) -> None:
    """Give `target` the permissions and times of another file; its owner can always write it again."""
    target.chmod(status.st_mode & 0o777 | 0o200)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def default_home() -> Path:
    """The keyring's folder: `TRACEMARK_HOME`, else `~/.tracemark`."""
    return Path(os.environ.get("TRACEMARK_HOME") or Path.home() / ".tracemark")
