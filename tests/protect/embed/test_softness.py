"""The blur of a choice by looks: it follows from key and sample, and is normal."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protect.embed.leaning import leanings_of
from protect.embed.looks import Glances
from protect.keys.store import Store
from protect.marks.lean import Lean
from protect.marks.looks import glance
from tests.protect.alignments.requests import records_of, request_for
from tests.support.leaning import lean_family, varied_pictures

COUNT = 400


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lean, Lean]:
    """Without a blur, and with one of two standard deviations."""
    store = Store(tmp_path_factory.mktemp("store"))
    return lean_family(store), lean_family(store, softness=2.0)


def _found(family: Lean, slot: int = 0, seed: int = 0, order: list[int] | None = None) -> dict[str, float]:
    """The leaning of each sample towards a slot's mark, by its key."""
    places = list(range(COUNT)) if order is None else order
    made = records_of(["a kite"] * COUNT)
    records = [made[place] for place in places]
    seen = np.rint(glance(varied_pictures(COUNT))).astype(np.uint8)[places]
    request = request_for(records, seed=seed)
    lean = leanings_of(family, Glances(seen, np.ones(COUNT, dtype=np.bool_), ()), request.records, request.slot)
    return {record.key: value for record, value in zip(records, lean(slot).tolist(), strict=True)}


def _noise(families: tuple[Lean, Lean], slot: int = 0, seed: int = 0) -> list[float]:
    plain, soft = (_found(family, slot, seed) for family in families)
    return [(soft[key] - plain[key]) / 2 for key in soft]


def test_the_blur_follows_samples_and_not_their_places(families: tuple[Lean, Lean]) -> None:
    found = _found(families[1])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(COUNT).tolist()
        assert _found(families[1], order=order) == pytest.approx(found, abs=1e-9)


def test_the_blur_is_normal_and_differs_by_slot_and_key(families: tuple[Lean, Lean]) -> None:
    noise = [_noise(families), _noise(families, slot=1), _noise(families, seed=1)]
    assert all(stats.kstest(one, "norm").pvalue > 0.01 for one in noise)
    assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 0.15
