"""Evidence against recipients: never more than chance allows against an innocent, whatever the answers are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detect.trace.evidence import LogEValues, Suspicion, family_wise_p, shown, yardstick
from protect.errors import EvidenceError
from protect.evidence import e_values
from protect.marks.directions import direction_scores
from protect.marks.sign_vectors import rank_scores
from protect.release.tracing import BET

Array = NDArray[np.float64]


def _drawn(seed: int, count: int) -> NDArray[np.uint64]:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def test_many_marks_are_weighed_as_one_is() -> None:
    rng = np.random.default_rng(0)
    decoys, scores = rng.normal(3, 2, 99_999), np.array([-1.0, 3.0, 7.0, 11.0])
    known = yardstick(decoys)
    together = (np.exp(known.log_e_values(scores)) - (1 - BET)) / BET
    apart = np.stack([e_values(score, decoys) for score in scores], axis=1)
    assert np.allclose(np.log(together), np.log(apart), atol=0.15), "but for the noise of the scale"
    planted = float(scores[2])
    symmetric = np.concatenate([[planted], decoys[len(decoys) - known.compared :]])
    for rate, e in zip(known.rates, together[:, 2], strict=True):
        weights = np.exp(rate * (symmetric - symmetric.max()))
        assert e == pytest.approx(len(symmetric) * weights[0] / weights.sum())


def test_what_says_nothing_is_one_and_what_is_no_number_is_refused() -> None:
    flat = yardstick(np.ones(100))
    assert np.array_equal(flat.log_e_values(np.array([0.0, 1.0, 5.0])), np.zeros((3, 3)))
    with pytest.raises(EvidenceError, match="not finite"):
        yardstick(np.arange(100.0)).log_e_values(np.array([0.0, np.nan]))
    with pytest.raises(EvidenceError, match="not finite"):
        yardstick(np.full(100, np.inf))
    with pytest.raises(EvidenceError, match="too few"):
        yardstick(np.arange(10.0))


def _effects(kind: str, seed: int) -> Array:
    """What an innocent answers, d numbers: it may love one direction as much as it likes."""
    rng = np.random.default_rng(seed)
    return {
        "noise": rng.normal(size=24),
        "one axis": np.eye(24)[0] * 1e6,
        "a crowd's mark": direction_vector(_drawn(seed, 1)),
        "tiny": np.full(24, 1e-300),
    }[kind]


def direction_vector(marks: NDArray[np.uint64]) -> Array:
    """The direction of the first mark."""
    return np.array([direction_scores(row[None], np.eye(24), marks)[0] for row in np.eye(24)])


@pytest.mark.parametrize("kind", ["noise", "one axis", "a crowd's mark", "tiny"])
def test_an_innocent_is_named_no_more_often_than_agreed(kind: str) -> None:
    """24,000 innocents under 60 keys, four slots: wrong names, and the mean of E."""
    recipients, alpha, wrong, means, high = 400, 0.2, 0, [], 0
    for key in range(60):
        suspicion = Suspicion(recipients)
        for slot in range(4):
            effect = _effects(kind, slot)
            scores = direction_scores(effect[None], np.eye(24), _drawn(1000 * key + slot + 1, 999 + recipients))
            known, own = yardstick(scores[:999]), scores[999:]
            suspicion.add(_of(known.log_e_values(own)))
        e = np.exp(suspicion.peaks)
        wrong += bool((e >= recipients / alpha).any())
        high += int((e >= 50).sum())
        means.append(float(np.exp(suspicion.some)))
    assert wrong <= 60 * alpha + 3 * np.sqrt(60 * alpha * (1 - alpha))
    assert high <= 24_000 / 50 * 1.2, "Ville: of all innocents one in fifty reaches 50"
    assert np.mean(np.array(means) >= 20) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def _of(logs: Array) -> LogEValues:
    return lambda places: logs[:, places]


@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_mean_e_of_an_exchangeable_mark_is_one(seed: int, shape: int, lattice: bool) -> None:
    """Every mark in turn is taken for the planted one: the mean over all is exactly 1, whatever the scores are."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=60) ** shape
    scores = np.round(scores) if lattice else scores
    scaling, compared = scores[:10], scores[10:]
    means = [
        np.exp(yardstick(np.concatenate([scaling[:6], np.delete(compared, place)])).log_e_values(compared[[place]]))
        for place in range(50)
    ]
    known = yardstick(np.concatenate([scaling[:6], compared[1:]]))
    if known.compared == 49 and known.rates.any():
        assert np.allclose(np.mean(means, axis=0), 1)


def test_evidence_adds_up_over_slots_and_its_peak_counts() -> None:
    rng = np.random.default_rng(5)
    suspicion, factors = Suspicion(3), []
    for lean in (2.0, 3.0, -1.0):
        decoys = rng.normal(size=99_999)
        suspicion.add(_of(yardstick(decoys).log_e_values(lean * np.ones(3))))
        factors.append(1 - BET + BET * e_values(lean, decoys))
    running = np.cumprod(factors, axis=0).mean(axis=1)
    assert running.argmax() == 1 and np.exp(suspicion.peaks) == pytest.approx(np.full(3, running.max()), rel=0.1)
    assert suspicion.some == pytest.approx(float(suspicion.peaks[0])), "three alike"
    assert np.exp(suspicion.mean) == pytest.approx(running[-1], rel=0.1)
    before = suspicion.mean
    suspicion.add(None)
    assert suspicion.mean == before, "a silent slot changes nothing"


def test_signs_are_weighed_like_directions() -> None:
    """Families of signs have other laws of scores; nothing is assumed about them."""
    features, e = np.random.default_rng(2).normal(size=(6, 75)), []
    for key in range(60):
        scores = rank_scores(features, _drawn(key, 1_999))
        e.append(np.exp(yardstick(scores[:999]).log_e_values(scores[999:])).mean(axis=1))
    mean, error = np.mean(e, axis=0), np.std(e, axis=0) / np.sqrt(60)
    assert np.all(np.abs(mean - 1) < 4 * error) and error[0] < 0.02


def test_numbers_for_people_stay_numbers() -> None:
    assert family_wise_p(-2000.0, 5) == 1.0 and family_wise_p(np.log(1e9), 10**6) == pytest.approx(1e-3)
    assert shown(5000.0) == pytest.approx(1e300) and shown(0.0) == 1.0
