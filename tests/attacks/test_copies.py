"""Attacks by recipients who lay their copies side by side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.stages.attack import Captioned, Resources
from attacks.stages.registry import find_attack
from attacks.stages.samples import write_samples
from tests.support.thieves import carriers, resources, same

SECRET = b"k" * 32


@pytest.fixture(scope="module")
def thief(tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return resources(tmp_path_factory.mktemp("thief"), Path("no-base-is-needed"))


def _own() -> list[Captioned]:
    return [replace(s, key=f"{int(s.key):06}.png") for s in carriers(6, 40)]


def test_two_of_three_copies_outvote_the_third(thief: Resources) -> None:
    own = _own()
    attack = find_attack("vote-copies").equipped(thief)
    assert same(attack.on_data(own, 0.0, SECRET), own)
    done = attack.on_data(own, 1.0, SECRET)
    assert [s.caption for s in done[:4]] == ["other", "other", "a box", "a box"]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(done, own, strict=True))


def test_where_no_two_copies_agree_the_thiefs_own_stays(thief: Resources, tmp_path: Path) -> None:
    own = _own()[:2]
    marked = [replace(s, picture=np.roll(s.picture, 3), caption="third") for s in own]
    strangers = write_samples(marked, tmp_path / "third")
    three = replace(thief, copies=lambda number: thief.copies(1) if number == 1 else strangers)
    done = find_attack("vote-copies").equipped(three).on_data(own, 1.0, SECRET)
    assert [s.caption for s in done] == ["a box", "a box"]
    assert all(np.array_equal(a.picture, b.picture) for a, b in zip(done, own, strict=True))


def test_averaged_pictures_lie_half_way(thief: Resources, tmp_path: Path) -> None:
    own = _own()
    inverted = write_samples([replace(s, picture=255 - s.picture) for s in own], tmp_path / "inverted")
    attack = find_attack("average-copies").equipped(replace(thief, copies=lambda number: inverted))
    assert same(attack.on_data(own, 0.0, SECRET), own)
    done = attack.on_data(own, 1.0, SECRET)
    assert all(np.abs(s.picture.astype(int) - 127.5).max() <= 1 for s in done)
    assert [s.caption for s in done] == [s.caption for s in own]
