"""The cache of outputs stays small, and nothing else is touched."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from cli import detect_main
from detect.cache import IN_USE, kept, prune
from detect.trial.answers import digest


def _make(folder: Path, size: int, written: float) -> Path:
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(bytes(size))
    os.utime(folder / "a.png", (written, written))
    return folder


def _cache(root: Path, now: float) -> dict[str, Path]:
    return {
        "old": _make(root / digest("old"), 100, now - 5 * IN_USE),
        "anew": _make(root / "anew-2" / digest("anew"), 100, now - 4 * IN_USE),
        "labels": _make(root / f"labels-{digest('labels')}", 100, now - 3 * IN_USE),
        "trained": _make(root / "classifiers" / "shadow", 100, now - 2 * IN_USE),
        "new": _make(root / digest("new"), 100, now - IN_USE / 2),
        "others": _make(root / "holiday pictures", 10**6, now - 9 * IN_USE),
    }


def test_what_is_oldest_goes_until_the_rest_fits(tmp_path: Path) -> None:
    now = time.time()
    made = _cache(tmp_path, now)
    assert [one.path for one in kept(tmp_path)] == [made[name] for name in ("old", "anew", "labels", "trained", "new")]
    assert prune(tmp_path, 500, now) == []
    assert [one.path for one in prune(tmp_path, 300, now)] == [made["old"], made["anew"]]
    assert not made["old"].exists() and made["labels"].exists() and made["others"].exists()


def test_what_may_be_in_use_stays(tmp_path: Path) -> None:
    now = time.time()
    made = _cache(tmp_path, now)
    assert len(prune(tmp_path, 0, now)) == 4
    assert made["new"].exists() and made["others"].exists() and prune(tmp_path / "nowhere", 0) == []


def test_a_link_is_no_cache(tmp_path: Path) -> None:
    outside = _make(tmp_path / "outside", 10, 0)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / digest("x")).symlink_to(outside)
    assert prune(tmp_path / "cache", 0) == [] and outside.exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _cache(tmp_path, time.time())
    monkeypatch.setenv("TRACEMARK_CACHE", str(tmp_path))
    for arguments, removed in (["--json"], 0), (["--prune", "--limit", "0.0000003", "--json"], 2):
        monkeypatch.setattr(sys, "argv", ["detect", "cache", *arguments])
        with pytest.raises(SystemExit) as stop:
            detect_main()
        row = json.loads(capsys.readouterr().out)
        assert stop.value.code == 0 and row["removed"] == removed and row["bytes"] == 500 - 100 * removed
