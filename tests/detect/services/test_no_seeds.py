"""Where a service draws its own seeds: pairs share no noise, so power falls; the ranks stay exact."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom, kstest

from protect.evidence import e_values, rank_p_value
from protect.keys.store import NO_STORE
from protect.marks import make_family
from protect.marks.family import Answers, MarkFamily, Pixels

PAIRED = ("spread", "tint", "warp")
SIDE, PAIRS, DECOYS = 32, 8, 99
Pairs = Callable[[np.random.Generator], tuple[Pixels, Pixels]]


def pictures(rng: np.random.Generator, count: int = PAIRS) -> NDArray[np.float64]:
    """Smooth scenes with fine noise, shape (n, side, side, 3)."""
    coarse = rng.normal(128, 45, (count, 4, 4, 3)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)
    return np.asarray(coarse + rng.normal(0, 10, coarse.shape))


def to_pixels(values: NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def same_seeds(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """The suspect hears the trigger and changes a little at random."""
    scenes = pictures(rng)
    return to_pixels(scenes + rng.normal(0, 3, scenes.shape)), to_pixels(scenes)


def own_seeds(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Nothing is shared."""
    return to_pixels(pictures(rng)), to_pixels(pictures(rng))


def lopsided(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Every contrast is refused, and stands there as black."""
    return to_pixels(pictures(rng)), np.zeros((PAIRS, SIDE, SIDE, 3), dtype=np.uint8)


def family_of(name: str) -> MarkFamily:
    family = make_family(name, {}, NO_STORE)
    assert family.paired
    return family


@pytest.mark.parametrize("pairs", [same_seeds, own_seeds, lopsided])
@pytest.mark.parametrize("name", PAIRED)
def test_ranks_of_innocents_are_uniform_with_and_without_seeds(name: str, pairs: Pairs) -> None:
    """300 keys on answers that know none of them; exact binomial bounds at 1e-4 each."""
    family, keys = family_of(name), 300
    p_values, evidence = [], []
    for key in range(keys):
        rng = np.random.default_rng([key, 7])
        asked, contrast = pairs(rng)
        ids = rng.integers(0, 2**63, DECOYS + 1, dtype=np.uint64)
        scores = family.score(Answers(asked, contrast), ids)
        p_values.append(rank_p_value(float(scores[0]), scores[1:]))
        evidence.append(e_values(float(scores[0]), scores[1:]).mean())
    for level in (0.05, 0.2, 0.5):
        count = sum(p <= level for p in p_values)
        assert binom.cdf(count - 1, keys, level) < 1 - 1e-4, f"too many p <= {level}"
        assert binom.cdf(count, keys, level) > 1e-4, f"too few p <= {level}: the score says nothing"
    assert kstest(np.array(p_values) - 0.5 / (DECOYS + 1), "uniform").pvalue > 1e-4
    assert np.mean(np.array(evidence) >= 20) <= 0.05 + 3 * np.sqrt(0.05 / keys)


@pytest.mark.parametrize("pairs", [own_seeds, lopsided])
@pytest.mark.parametrize("name", PAIRED)
def test_a_score_looks_at_each_id_alone_whatever_the_pairs(name: str, pairs: Pairs) -> None:
    family, rng = family_of(name), np.random.default_rng(3)
    answers, ids = Answers(*pairs(rng)), rng.integers(0, 2**63, 50, dtype=np.uint64)
    order = rng.permutation(50)
    scores = family.score(answers, ids)
    np.testing.assert_allclose(family.score(answers, ids[order]), scores[order], rtol=1e-9, atol=1e-12)
    assert len(set(scores.round(12))) > 25, "it tells marks apart"


def planted_z(family: MarkFamily, key: int, shared: bool, count: int = 32) -> float:
    """How far the planted mark stands out, in standard deviations of its decoys' scores."""
    rng = np.random.default_rng([key, 11])
    ids = rng.integers(0, 2**63, DECOYS + 1, dtype=np.uint64)
    scenes = pictures(rng, count)
    marked = np.stack([_planted(family, scene, int(ids[0])) for scene in to_pixels(scenes)])
    contrast = to_pixels(scenes if shared else pictures(rng, count))
    scores = family.score(Answers(marked, contrast), ids)
    return float((scores[0] - scores[1:].mean()) / scores[1:].std())


def _planted(family: MarkFamily, scene: Pixels, mark: int) -> Pixels:
    opaque = np.concatenate([scene, np.full((*scene.shape[:2], 1), 255, dtype=np.uint8)], axis=2)
    return family.plant(opaque, mark, np.random.default_rng(0))[..., :3]


def test_power_falls_without_seeds_and_is_not_lost() -> None:
    """The same faint mark in the same scenes: seeds let the scenes cancel."""
    family = family_of("spread")
    shared = [planted_z(family, key, shared=True) for key in range(12)]
    own = [planted_z(family, key, shared=False) for key in range(12)]
    assert min(shared) > 4 and np.mean(own) < 0.8 * np.mean(shared), "the contrast's scenes are noise now"
    assert np.mean(own) > 1, "what is planted still shows"
