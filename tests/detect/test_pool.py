"""`protect pool`: templates drawn by public seeds, kept in the store, resumed from the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from detect import pool as module
from detect.pool import check_pool, make_pool
from detect.suspects.images import Suspect
from protect.errors import InputError
from protect.keys.store import Store
from protect.marks import make_family
from tests.support.suspects import FakeSuspect, Flat

PROMPTS = ["a box", "a kite"]


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> FakeSuspect:
    """Stands for the base that draws."""
    painter = FakeSuspect("base")

    def load(path: Path, *, device: str) -> Suspect:
        return painter

    monkeypatch.setattr(module, "load_suspect", load)
    return painter


def test_a_pool_lies_in_the_store_and_a_repeat_draws_nothing(tmp_path: Path, cache: Path, painter: FakeSuspect) -> None:
    store = Store(tmp_path / "store")
    name = make_pool(tmp_path, PROMPTS, 100, store, cache, zoom=2.0)
    (templates,) = store.get("pool", name, "templates")
    assert templates.shape == (100, 32, 32, 3) and templates.dtype == np.uint8
    assert make_family("scene", {"pool": name}, store).distinct == 100
    asked = painter.asked
    assert make_pool(tmp_path, PROMPTS, 100, store, cache, zoom=2.0) == name and painter.asked == asked == 128
    assert make_pool(tmp_path, PROMPTS, 100, store, cache, zoom=1.0) != name


def test_a_base_that_draws_plain_pictures_is_refused(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "load_suspect", lambda path, *, device: Flat("base", 128))
    with pytest.raises(InputError, match="drew 0 templates that are not plain, of 100 wanted"):
        make_pool(tmp_path, PROMPTS, 100, Store(tmp_path), cache)


def test_options_that_make_no_sense_are_refused() -> None:
    for count, zoom, prompts in ((99, 1.0, PROMPTS), (100, 0.5, PROMPTS), (100, 1.0, [])):
        with pytest.raises(InputError):
            check_pool(prompts, count, zoom, 20, 3.0)
