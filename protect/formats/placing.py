"""Putting files into an unfinished copy: with their final content only, and never outside of it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from protect.errors import InputError
from protect.files import PARTIAL, copy_file, copy_mode_and_times


@contextmanager
def placed(target: Path, name: str) -> Iterator[Path]:
    """A path to write to; what is written there appears as `target / name` when the block ends well.

    Args:
        target: folder of the copy.
        name: path inside it, with forward slashes; folders are made as needed.

    Raises:
        InputError: if the name leads out of the folder.
        OSError: if it cannot be written.
    """
    folder, _, file = name.rpartition("/")
    parent = _folder_inside(target, folder)
    # Not the name with an ending: it may have the greatest length already.
    partial = parent / f".{hashlib.blake2b(file.encode(), digest_size=12).hexdigest()}{PARTIAL}"
    partial.unlink(missing_ok=True)
    try:
        yield partial
        partial.replace(parent / file)
    finally:
        partial.unlink(missing_ok=True)


def _folder_inside(target: Path, folder: str) -> Path:
    """The folder, made if need be; no part of it may be a link."""
    inside = str(target)
    for part in filter(None, folder.split("/")):
        inside = f"{inside}/{part}"
        if part == ".." or folder.startswith("/"):
            raise InputError(f"{folder!r} leads out of the dataset", "Rename it.")
        try:
            mode = os.lstat(inside).st_mode
        except FileNotFoundError:
            Path(inside).mkdir(exist_ok=True)
            continue
        if not stat.S_ISDIR(mode):
            raise InputError(f"{inside} is in the way: a link or a file", "Empty the output folder.")
    return Path(inside)


def place_copy(target: Path, name: str, source: Path, *, link: bool) -> None:
    """Copy a file that does not change.

    One that is there already is replaced, even with the same size and time: it may be one that changed in an earlier
    run, and changed files keep their times.
    """
    with placed(target, name) as partial:
        copy_file(source.resolve(), partial, link=link)


def place_bytes(target: Path, name: str, data: bytes, like: os.stat_result) -> None:
    """Write a file that changes, with the permissions and times of the original."""
    with placed(target, name) as partial:
        partial.write_bytes(data)
        copy_mode_and_times(like, partial)
