"""Copies and atomic writes."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.files import copy_file, write_atomic


def test_a_copy_keeps_bytes_mode_and_time_and_nothing_else(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(os.urandom(100_000))
    source.chmod(0o640)
    os.utime(source, ns=(1_000_000_000, 2_000_000_123))
    with contextlib.suppress(OSError, AttributeError):  # not on every system
        os.setxattr(source, "user.note", b"x")
    copy_file(source, target)
    assert target.read_bytes() == source.read_bytes() and target.stat().st_mode == source.stat().st_mode
    assert target.stat().st_mtime_ns == 2_000_000_123
    if hasattr(os, "listxattr"):
        assert not os.listxattr(target)


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old", mode=0o600)
    with pytest.raises(InputError, match="cannot write"):
        write_atomic(tmp_path / "missing" / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a"]
