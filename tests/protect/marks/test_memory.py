"""Large pictures: what planting takes stays in a budget for each pixel."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from protect.keys.store import Store
from protect.marks import BUILT_IN
from tests.support.memory import STATUS, bytes_per_pixel
from tests.support.stores import stored_options

PAINTED = ["template", "card", "frame", "scene", "spread", "latent", "tint", "warp", "shade"]
CODECS = ["dwtdct", "dwtdctsvd", *(["rivagan"] if find_spec("onnxruntime") else [])]
WITHOUT_PLANTING = 12
"""Bytes for each pixel that the picture itself and its file take meanwhile."""

needs_linux = pytest.mark.skipif(not STATUS.exists(), reason="asks Linux for the peak")


def _peak(family: str, kind: str, size: tuple[int, int], folder: Path) -> float:
    return bytes_per_pixel(family, stored_options(family, Store(folder)), folder, kind, size)


@needs_linux
@pytest.mark.parametrize("family", PAINTED)
def test_a_picture_of_3_megapixels_fits_the_budget(family: str, tmp_path: Path) -> None:
    kind = {"warp": "transparent", "spread": "photograph"}.get(family, "ground")
    peak = _peak(family, kind, (1500, 2000), tmp_path)
    assert 3 < peak <= BUILT_IN[family].bytes_per_pixel - WITHOUT_PLANTING


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["photograph", "ground", "transparent"])
@pytest.mark.parametrize("family", PAINTED)
def test_a_picture_of_12_megapixels_fits_the_budget(family: str, kind: str, tmp_path: Path) -> None:
    peak = _peak(family, kind, (3000, 4000), tmp_path)
    assert 3 < peak <= BUILT_IN[family].bytes_per_pixel - WITHOUT_PLANTING


@needs_linux
@pytest.mark.slow
@pytest.mark.parametrize("family", CODECS)
def test_codecs_say_how_much_they_take(family: str, tmp_path: Path) -> None:
    """Their package holds whole pictures as floats, so they have budgets of their own."""
    peak = _peak(family, "photograph", (1500, 2000), tmp_path)
    assert peak <= BUILT_IN[family].bytes_per_pixel - WITHOUT_PLANTING
