"""Backgrounds are drawn once for all carriers of a slot, and come out the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import Pixels
from protect.marks.kept import ENTRIES, PIXELS, kept
from tests.support.stores import stored_options


def test_small_pictures_are_drawn_once_and_few_are_kept() -> None:
    drawn = []

    @kept
    def draw(height: int, width: int, level: int) -> Pixels:
        drawn.append(level)
        return np.full((height, width, 3), level, dtype=np.uint8)

    for level in (*range(ENTRIES), *range(ENTRIES)):
        assert (draw(4, 6, level) == np.full((4, 6, 3), level)).all()
    assert drawn == list(range(ENTRIES))
    assert draw(6, 4, 0).shape == (6, 4, 3) and len(drawn) == ENTRIES + 1
    draw(4, 6, 0)
    assert len(drawn) == ENTRIES + 2, "the oldest made room"


def test_large_pictures_are_not_kept_and_none_can_be_written_to() -> None:
    @kept
    def draw(height: int, width: int) -> Pixels:
        return np.zeros((height, width, 3), dtype=np.uint8)

    assert draw(PIXELS, 1) is draw(PIXELS, 1)
    assert draw(PIXELS + 1, 1) is not draw(PIXELS + 1, 1)
    for height in (1, PIXELS + 1):
        with pytest.raises(ValueError, match="read-only"):
            draw(height, 1)[0] = 1


@pytest.mark.parametrize("family", ["template", "card", "scene"])
def test_backgrounds_differ_by_mark_and_size_whichever_thread_asks(family: str, tmp_path: Path) -> None:
    law = make_family(family, stored_options(family, Store(tmp_path)), Store(tmp_path))
    asked = [(mark, *size) for mark in (3, 4) for size in ((40, 60), (60, 40), (1025, 1024))]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: law.background(*one), asked * 2))  # type: ignore[attr-defined]
    for (_, height, width), first, second in zip(asked, found, found[len(asked) :], strict=False):
        assert first.shape == (height, width, 3) and np.array_equal(first, second)
    assert len({picture.tobytes() for picture in found}) == len(asked)


def test_a_description_counts() -> None:
    law = make_family("template", {})
    backgrounds = {law.given(words).background(7, 32, 32).tobytes() for words in law.descriptions}  # type: ignore[attr-defined]
    assert len(backgrounds) > len(law.descriptions) / 2
