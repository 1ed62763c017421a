"""Copies and atomic writes."""

from __future__ import annotations

import contextlib
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.files import copy_file, default_cache, new_file, new_folder, private_folder, write_atomic
from protect.keys.keyring import Keyring


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        write_atomic(pipe, b"x")
        assert read.result(timeout=20) == b"x"
    assert pipe.is_fifo()


def test_copies_of_read_only_files_can_be_written_again(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0o444)
    copy_file(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o644


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


def test_a_file_whose_writing_fails_leaves_the_old_one(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(ValueError, match="stop"), new_file(tmp_path / "a") as stream:
        stream.write(b"new")
        raise ValueError("stop")
    assert (tmp_path / "a").read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_folder_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "d") as folder:
        (folder / "a").write_text("x")
        assert not (tmp_path / "d").exists()
    assert (tmp_path / "d" / "a").read_text() == "x"
    with pytest.raises(InputError, match="not empty"), new_folder(tmp_path / "d"):
        pass
    with pytest.raises(ValueError, match="stop"), new_folder(tmp_path / "e") as folder:
        raise ValueError("stop")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]


def test_a_link_is_one_file_under_two_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    copy_file(tmp_path / "a", tmp_path / "b", link=True)
    assert (tmp_path / "a").samefile(tmp_path / "b")


def test_where_links_cannot_be_made_files_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    (tmp_path / "a").write_text("x")
    monkeypatch.setattr(os, "link", refuse)
    copy_file(tmp_path / "a", tmp_path / "b", link=True)
    assert (tmp_path / "b").read_text() == "x" and not (tmp_path / "a").samefile(tmp_path / "b")


def test_caches_do_not_lie_in_the_keyring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TRACEMARK_CACHE", raising=False)
    assert not default_cache().is_relative_to(tmp_path / "home")
    monkeypatch.setenv("TRACEMARK_CACHE", str(tmp_path / "cache"))
    assert default_cache() == tmp_path / "cache"


def test_private_folders_are_so_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        private_folder(tmp_path / "a" / "b" / "c")
        keyring = Keyring(tmp_path / "home")
        keyring.store.put("frame", pixels=np.zeros(1))
        folder = keyring.folder("releases")
    finally:
        os.umask(before)
    made = (tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c", keyring.home, folder)
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}
