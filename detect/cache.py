"""The cache of outputs: what can be computed again, and how it is kept small. No verdict rests on it.

The ledger keeps hashes of all outputs that were judged: what is asked again after pruning is no new draw.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_OURS = re.compile(r"(labels-)?[0-9a-f]{24}")
"""Folders of one suspect each; they may lie in the folders that hold what was asked anew, or trained."""
_OUTER = re.compile(r"anew-\d+|classifiers")
IN_USE = 3600.0
"""Seconds for which nothing is removed after it was written: a run may be using it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one suspect, or one trained classifier."""

    path: Path
    bytes: int
    written: float
    """When something was last written there, in seconds since 1970."""


def kept(cache: Path) -> list[Kept]:
    """All that is kept, the oldest first. Files of others in that folder are not looked at."""
    outer = [cache, *(path for path in _folders(cache) if _OUTER.fullmatch(path.name))]
    found = (path for folder in outer for path in _folders(folder) if not _OUTER.fullmatch(path.name))
    own = [path for path in found if _OURS.fullmatch(path.name) or path.parent.name == "classifiers"]
    return sorted((_measured(path) for path in own), key=lambda one: (one.written, one.path))


def prune(cache: Path, limit: int, now: float | None = None) -> list[Kept]:
    """Remove what is oldest until the rest fits.

    Args:
        cache: the folder.
        limit: bytes that may stay.
        now: the time, in seconds since 1970.

    Returns:
        What was removed.
    """
    held, moment = kept(cache), time.time() if now is None else now
    size, removed = sum(one.bytes for one in held), list[Kept]()
    for one in held:
        if size <= limit or one.written > moment - IN_USE:
            break
        shutil.rmtree(one.path)
        removed.append(one)
        size -= one.bytes
    return removed


def _folders(folder: Path) -> Sequence[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:
        return []


def _measured(folder: Path) -> Kept:
    statuses = [path.lstat() for path in folder.rglob("*") if path.is_file()]
    written = max((status.st_mtime for status in statuses), default=folder.stat().st_mtime)
    return Kept(folder, sum(status.st_size for status in statuses), written)
