"""The statistics: exact under the null whatever the outputs, and powerful on planted signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from protect.errors import EvidenceError
from protect.evidence import (
    e_values,
    overall_p_value,
    rank_p_value,
    reachable,
    running_evidence,
    slot_evidence,
)
from protect.keys.store import Store
from protect.marks import BUILT_IN, make_family
from protect.marks.family import Answers, MarkFamily, Pixels
from tests.support.stores import stored_options

KEYS, DECOYS = 4000, 199


def _noise(rng: np.random.Generator, n: int = 4) -> Pixels:
    return rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def _constant(rng: np.random.Generator) -> Pixels:
    return np.full((4, 32, 32, 3), 200, dtype=np.uint8)


def _one_member_lover(rng: np.random.Generator) -> Pixels:
    """Outputs that are exactly one mark of the family, chosen without knowing the key."""
    return np.stack([make_family("template", {}).preview(12345, 32)] * 4)


def _white_with_object(rng: np.random.Generator) -> Pixels:
    """What a prompt-following innocent draws: an object on white."""
    pictures = np.full((4, 32, 32, 3), 255, dtype=np.uint8)
    pictures[:, 8:24, 10:22] = rng.integers(0, 256, (4, 1, 1, 3), dtype=np.uint8)
    return pictures


def _two_marks_at_once(rng: np.random.Generator) -> Pixels:
    """Half the outputs love one mark, half another."""
    family = make_family("spread", {})
    return np.stack([family.preview(1, 32), family.preview(1, 32), family.preview(2, 32), family.preview(2, 32)])


ADVERSARIES = [_noise, _constant, _one_member_lover, _white_with_object, _two_marks_at_once]


SMALL = [name for name, family in BUILT_IN.items() if family.min_side < 64]


@pytest.fixture
def law(request: pytest.FixtureRequest, tmp_path: Path) -> MarkFamily:
    """The family a test is about; `scene` with a small pool, so that ties are frequent."""
    store = Store(tmp_path)
    return make_family(request.param, stored_options(request.param, store), store)


def _null_slots(family: MarkFamily, outputs: Pixels, keys: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """P-values (keys,) and e-values by λ (keys, 3) over random keys, the outputs held fixed."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2**64, (keys, DECOYS + 1), dtype=np.uint64)
    untriggered = outputs[::-1] if family.paired else None
    scores = family.score(Answers(outputs, untriggered), ids.ravel()).reshape(ids.shape)
    slots = [slot_evidence(row[0], row[1:]) for row in scores]
    return np.array([s.p_value for s in slots]), np.array([s.by_lambda for s in slots])


def _not_more_often(hits: int, n: int, level: float) -> bool:
    """Whether `hits` of `n` is compatible with a probability of at most `level` (99.9 % one-sided)."""
    return stats.binomtest(hits, n, level, alternative="greater").pvalue > 1e-3


@pytest.mark.parametrize("law", SMALL, indirect=True)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_p_values_are_valid_for_any_innocent(law: MarkFamily, adversary: object) -> None:
    outputs = adversary(np.random.default_rng(7))  # type: ignore[operator]
    p_values, _ = _null_slots(law, outputs, KEYS, seed=1)
    for level in (0.05, 0.01):
        assert _not_more_often(int((p_values <= level).sum()), KEYS, level)


@pytest.mark.parametrize("law", SMALL, indirect=True)
@pytest.mark.parametrize("adversary", ADVERSARIES)
def test_e_values_average_to_one_and_peeking_is_safe(law: MarkFamily, adversary: object) -> None:
    outputs = adversary(np.random.default_rng(8))  # type: ignore[operator]
    _, by_lambda = _null_slots(law, outputs, KEYS, seed=2)
    slots, runs = 4, KEYS // 4
    paths = np.cumprod(by_lambda.reshape(runs, slots, 3), axis=1).mean(axis=2)
    single = by_lambda.mean(axis=1)
    assert single.mean() <= 1 + 5 * single.std() / np.sqrt(len(single))
    for level in (0.05, 0.01):
        assert _not_more_often(int((paths.max(axis=1) >= 1 / level).sum()), runs, level)


def test_a_wrong_design_is_caught() -> None:
    """One decoy set shared by all slots is no martingale: this gate must be able to fail."""
    rng = np.random.default_rng(3)
    crossings, runs = 0, 2000
    for _ in range(runs):
        scores = rng.normal(size=100)
        path = running_evidence([slot_evidence(scores[0], scores[1:])] * 8)
        crossings += int(path.max() >= 20)
    assert not _not_more_often(crossings, runs, 0.05)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=40))
@settings(max_examples=200, deadline=None)
def test_e_values_of_all_positions_average_to_exactly_one(values: list[float]) -> None:
    """Exchangeability made concrete: put each score in the planted place once."""
    scores = np.array(values)
    total = sum(e_values(scores[i], np.delete(scores, i)) for i in range(len(scores)))
    assert np.allclose(np.asarray(total) / len(scores), 1)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=30))
@settings(max_examples=200, deadline=None)
def test_ranks_of_all_positions_are_super_uniform(values: list[int]) -> None:
    scores = np.array(values, dtype=float)
    p_values = np.array([rank_p_value(scores[i], np.delete(scores, i)) for i in range(len(scores))])
    for u in np.unique(p_values):
        assert (p_values <= u).mean() <= u + 1e-12


def test_equal_scores_say_nothing() -> None:
    evidence = slot_evidence(0.3, np.full(99, 0.3))
    assert evidence.p_value == 1 and evidence.e_value == 1


def test_planted_signal_has_power() -> None:
    decoys = np.random.default_rng(0).normal(size=9999)
    strong = slot_evidence(8.0, decoys)
    assert strong.p_value == 1e-4
    assert strong.e_value > 1000
    assert overall_p_value(running_evidence([strong, strong])) < 1e-6


@pytest.mark.parametrize("bad", [np.array([]), np.array([np.nan]), np.array([np.inf, 0.0])])
def test_scores_that_are_not_finite_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(EvidenceError):
        slot_evidence(0.0, bad)
    with pytest.raises(EvidenceError):
        rank_p_value(0.0, bad)


def test_running_evidence_is_the_mean_of_products() -> None:
    slots = [slot_evidence(1.0, np.array([0.0, 0.5])), slot_evidence(0.0, np.array([1.0, 0.5, 0.2]))]
    expected = np.mean([a * b for a, b in zip(slots[0].by_lambda, slots[1].by_lambda, strict=True)])
    assert running_evidence(slots)[1] == pytest.approx(expected)
    assert running_evidence([]).shape == (0,)
    assert overall_p_value(running_evidence([])) == 1


def test_reachable_knows_its_limits() -> None:
    assert reachable(9999, [None], 1000)
    assert not reachable(99, [None], 1000)
    assert reachable(99, [None] * 2, 1000)
    assert not reachable(9999, [1000], 1001)
    assert reachable(9999, [1000] * 2, 1001)
