"""Small datasets made on the spot."""

from __future__ import annotations

from pathlib import Path

import pytest

from protect.keys.keyring import Keyring
from tests.support.datasets import draw, make_classes, make_folder, recaption, varied_captions

__all__ = ["draw", "make_classes", "make_folder", "recaption", "varied_captions"]


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    home = tmp_path / "home"
    monkeypatch.setenv("TRACEMARK_HOME", str(home))
    return Keyring(home)
