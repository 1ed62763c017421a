"""Small datasets made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from protect.alignments import alignments
from protect.marks.family import FamilyOptions
from protect.marks.stored import packed
from protect.release.record import Keyring
from tests.support.datasets import draw, make_classes, make_folder, recaption, varied_captions

__all__ = ["draw", "make_classes", "make_folder", "recaption", "varied_captions"]

WITH_WORDS = [name for name, alignment in alignments().items() if not alignment.for_classifiers]
"""Alignments for text-to-image models."""


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    home = tmp_path / "home"
    monkeypatch.setenv("TRACEMARK_HOME", str(home))
    return Keyring(home)


def add_pool(keyring: Keyring, count: int = 200) -> str:
    """A pool of smooth templates in the keyring; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 32, 32, 3)), (0, 4, 4, 0))
    return keyring.store("pool", packed(templates=np.clip(128 + 450 * field, 0, 255).astype(np.uint8)))


def add_basis(keyring: Keyring, count: int = 60) -> str:
    """A basis of smooth directions in the keyring; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 3, 64, 64)), (0, 0, 6, 6))
    return keyring.store("basis", packed(directions=field.astype(np.float32), gains=np.ones(count)))


def stored_options(family: str, keyring: Keyring) -> FamilyOptions:
    """The options that a family cannot do without."""
    if family == "scene":
        return {"pool": add_pool(keyring)}
    return {"basis": add_basis(keyring)} if family == "latent" else {}
