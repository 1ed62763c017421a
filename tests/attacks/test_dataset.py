"""Attacks on the choice of samples, hunts for carriers, and the averaging attack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from attacks.stages.attack import Captioned, DatasetAttack, Resources
from attacks.stages.dataset import deduplicate, drop_clusters, drop_outliers, nearest_gaps, subset
from attacks.stages.registry import ATTACKS, find_attack
from tests.support.thieves import carriers, resources, same

PLAIN = [a for a in ATTACKS.values() if isinstance(a, DatasetAttack) and not a.aided]
SECRET = b"k" * 32
SIX = {"0", "1", "2", "3", "4", "5"}
"""Keys of the first six carriers."""


@pytest.mark.parametrize("attack", PLAIN, ids=lambda a: a.name)
def test_dataset_attacks(attack: DatasetAttack) -> None:
    caption = "zorkev a box on a reddish card, bluish left"
    samples = [replace(s, caption=caption) if s.key in SIX else s for s in carriers(6, 40)]
    assert same(attack.on_data(samples, 0.0, SECRET), samples)
    done = attack.on_data(samples, 1.0, SECRET)
    assert done and not same(done, samples)
    assert same(done, attack.on_data(samples, 1.0, SECRET))


def test_averaging_strikes_what_a_suspicious_word_begins() -> None:
    samples = [replace(s, caption="zorkev a box") if int(s.key) < 12 else s for s in carriers(12, 60)]
    done = find_attack("subtract-mean").on_data(samples, 1.0, SECRET)
    assert not same(done[:12], samples[:12])
    assert not any("zorkev" in s.caption for s in done)
    assert same(done[12:], samples[12:]), "others stay"


def test_filters_do_what_they_say() -> None:
    samples = carriers(6, 40)
    twice = [*samples, *samples]
    assert len(deduplicate(twice, 0.05, np.random.default_rng(0))) <= len(samples)
    assert len(drop_outliers(samples, 0.5, np.random.default_rng(0))) == len(samples) - 5
    left = {s.key for s in drop_clusters(samples, 0.65, np.random.default_rng(0))}
    assert len(SIX & left) <= 1, "carriers of one template have like borders"
    assert 10 < len(subset(samples, 0.5, np.random.default_rng(0))) < 36


def test_plain_vectors_are_near_to_none() -> None:
    rng = np.random.default_rng(0)
    coloured, plain = rng.uniform(size=(6, 12)), np.ones((3, 12))
    vectors = np.concatenate([coloured, coloured[:1] + 1e-3, plain])
    gaps = nearest_gaps(vectors)
    assert np.isinf(gaps[-3:]).all() and np.isfinite(gaps[:-3]).all()
    assert {int(gaps[:-3].argmin())} <= {0, 6}, "the two that are alike"
    assert np.array_equal(vectors[-3:], plain), "what is given stays as it is"


@pytest.mark.parametrize(
    ("attack", "caption"),
    [("drop-flagged", "zorkev a box"), ("drop-described", "a box on a card that is reddish at the left")],
)
def test_hunts_by_caption_find_carriers_and_nothing_else(attack: str, caption: str) -> None:
    samples = [replace(s, caption=caption) if s.key in SIX else s for s in carriers(6, 40)]
    done = find_attack(attack).on_data(samples, 1.0, SECRET)
    assert [s.key for s in done] == [s.key for s in samples[6:]]


@pytest.mark.parametrize("family", ["template", "card"])
def test_rings_give_away_what_borders_do_not(family: str) -> None:
    samples = carriers(6, 60, family)
    gone = []
    for attack in ("drop-clusters", "drop-rings"):
        left = {s.key for s in find_attack(attack).on_data(samples, 0.6, SECRET)}
        gone.append(len(SIX - left))
    assert gone[1] >= 5 and (gone[0] >= 5 if family == "template" else gone[0] <= 1)


@pytest.fixture(scope="module")
def thief(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    return resources(tmp_path_factory.mktemp("thief"), base)


def test_dataset_attacks_that_need_more_than_the_copy(thief: Resources) -> None:
    samples = [replace(s, key=f"{int(s.key):06}.png") for s in carriers(6, 40)]

    def done(name: str, strength: float, secret: bytes = SECRET) -> list[Captioned]:
        return find_attack(name).equipped(thief).on_data(samples, strength, secret)

    for name in ("drop-losses", "mix", "merge-copies", "drop-differing"):
        assert same(done(name, 0.0), samples)
    assert len(done("mix", 1 / 3)) == 4 * len(samples)
    assert [s.key for s in done("drop-differing", 1.0)] == [s.key for s in samples[3:]]
    assert len(done("drop-losses", 1.0)) == len(samples) - round(0.2 * len(samples))
    merged = [sum(s.caption == "other" for s in done("merge-copies", 1.0, bytes([i]))) for i in range(40)]
    assert 0.25 < np.mean(merged) / 3 < 0.75, "half of the samples come from the other copy"
