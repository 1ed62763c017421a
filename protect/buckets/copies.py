"""Files of buckets as copies on this machine: brought once, kept while there is room, gone when the program ends."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protect.buckets.service import BucketError, Facts, facts_of, part_of, told

KEPT = 4 << 30
"""Bytes of files that are kept here, besides the `FEWEST` used last."""
FEWEST = 16
_PIECE = 16 << 20


def room() -> Path:
    """The folder of this user on this machine for what was brought."""
    room = Path(tempfile.gettempdir()) / f"tracemark-{os.getuid()}"
    room.mkdir(mode=0o700, exist_ok=True)
    status = room.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise BucketError(f"{room} is not a private folder of yours", "Remove it, or set TMPDIR to another place.")
    return room


def _copy_of(url: str, facts: Facts) -> Path:
    name = hashlib.sha256(f"{url}\0{facts.size}\0{facts.changed}".encode()).hexdigest()[:40]
    return room() / f"file-{name}"


def brought(path: Path) -> Path:
    """The copy on this machine of a file as it is now."""
    facts = facts_of(path)
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
            _makeroom()
    return copy


def _bring(path: Path, facts: Facts, copy: Path) -> None:
    local = copy.with_name(f"new-{os.getpid()}-{uuid.uuid4().hex}")
    try:
        with local.open("wb") as sink:
            for start in range(0, facts.size, _PIECE):
                sink.write(part_of(path, start, min(start + _PIECE, facts.size)))
        told.pop(str(path), None)
        if facts_of(path).changed != facts.changed:
            raise OSError(0, "changed while it was read", str(path))
        local.replace(copy)
    finally:
        local.unlink(missing_ok=True)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep others on this machine from bringing the same file at the same time."""
    import fcntl  # unknown to systems on which nothing here works: what they cannot do is told elsewhere

    with (room() / f"lock-{name[-2:]}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _makeroom() -> None:
    """Remove the files that were used least lately, and what killed runs left."""
    found = []
    with os.scandir(room()) as entries:
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
def leave() -> None:
    """Remove what was brought of the files that this program knows."""
    for url, facts in told.items():
        if not facts.is_folder:
            _copy_of(url, facts).unlink(missing_ok=True)
