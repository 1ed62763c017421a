"""The tracing code: exact against innocents whatever colluders do, and it finds colluders."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detect.trace.code import bets, log_e_values, trust
from detect.trace.evidence import Suspicion
from protect.keys.code import CUTOFF, arcsine_bias
from protect.release.tracing import COALITIONS

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
Attack = Callable[[Bits, NDArray[np.uint8], np.random.Generator], Array]
"""From the colluders' bits (c, K), and whatever else they know, to what the answers show: trust in mark 1, (K,)."""


@given(
    st.floats(CUTOFF, 1 - CUTOFF),
    st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=1, max_size=5),
)
@settings(max_examples=200, deadline=None)
def test_the_mean_e_of_a_bit_is_one_for_any_scores(bias: float, soft: list[tuple[float, float]]) -> None:
    e = np.exp(log_e_values(np.array([0, 1], dtype=np.uint8), bias, np.array(soft)))
    assert (1 - bias) * e[:, 0] + bias * e[:, 1] == pytest.approx(1)


@given(st.floats(CUTOFF, 1 - CUTOFF), st.floats(1e-3, 1 - 1e-3))
@settings(max_examples=200, deadline=None)
def test_a_bet_needs_no_divisor_and_an_erasure_bets_nothing(bias: float, trusted: float) -> None:
    soft = bets(bias, trusted)
    e = np.exp(log_e_values(np.array([0, 1], dtype=np.uint8), bias, soft))
    assert np.allclose(e, np.exp(soft)) and np.all(e[:, 0] >= 0)
    assert np.allclose(bets(bias, bias), 0)
    gains = e[:, 1] - 1
    assert gains * np.array(COALITIONS) == pytest.approx(np.full(len(COALITIONS), trusted / bias - 1))


def test_trust_is_the_prior_where_nothing_is_heard_and_follows_the_better_mark() -> None:
    decoys = np.random.default_rng(0).normal(size=1000)
    assert trust(np.array([1.0, 1.0]), np.ones(50), 0.3) == 0.3
    assert trust(np.array([0.7, 0.7]), decoys, 0.3) == pytest.approx(0.3)
    rising = [trust(np.array([0.0, lead]), decoys, 0.3) for lead in (-4.0, -1.0, 1.0, 4.0, 50.0)]
    assert rising == sorted(rising) and rising[-1] < 1 and rising[0] < 0.02 < 0.9 < rising[-2]


def _interleaved(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    return np.where(bits[rng.integers(0, len(bits), bits.shape[1]), np.arange(bits.shape[1])], 0.97, 0.03)


def _majority(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    return np.where(bits.mean(axis=0) + rng.normal(0, 0.01, bits.shape[1]) > 0.5, 0.97, 0.03)


def _minority(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    share = bits.mean(axis=0)
    rare = share < 0.5
    return np.where(np.isin(share, (0, 1)), share, rare).clip(0.03, 0.97)


def _averaged(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    return np.asarray((0.1 + 0.8 * bits.mean(axis=0)).clip(0.03, 0.97))


def _inverted(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    return np.where(bits[0] == 1, 0.03, 0.97)


def _framing(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    """All that can be known without others' copies: whom to frame, but not the bits."""
    return np.where(rng.integers(0, 2, bits.shape[1]) == 1, 1 - 1e-3, 1e-3)


def _dropped_where_they_differ(bits: Bits, everybody: Bits, rng: np.random.Generator) -> Array:
    share = bits.mean(axis=0)
    return np.where(np.isin(share, (0, 1)), share.clip(0.03, 0.97), np.nan)


ATTACKS: dict[str, Attack] = {
    "interleaved": _interleaved,
    "majority": _majority,
    "minority": _minority,
    "averaged": _averaged,
    "inverted": _inverted,
    "framing": _framing,
    "dropped where they differ": _dropped_where_they_differ,
}


def _suspicion(bias: Array, bits: Bits, shown: Array) -> Suspicion:
    suspicion = Suspicion(len(bits), len(COALITIONS))
    for slot, trusted in enumerate(shown.tolist()):
        if np.isfinite(trusted):
            logs = log_e_values(bits[:, slot], float(bias[slot]), bets(float(bias[slot]), trusted))
            suspicion.add(lambda places, logs=logs: logs[:, places])  # type: ignore[misc]
        else:
            suspicion.add(None)
    return suspicion


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("colluders", [1, 3, 5])
def test_innocents_are_not_named_whatever_colluders_do(attack: str, colluders: int) -> None:
    """20,000 innocents under 20 codes of 60 slots: nobody wrong at N / alpha, and few high values."""
    rng = np.random.default_rng(sorted(ATTACKS).index(attack) * 10 + colluders)
    recipients, alpha, wrong, high = 1000, 0.2, 0, 0
    for _ in range(20):
        bias = arcsine_bias(rng.random(60))
        bits = (rng.random((recipients + colluders, 60)) < bias).astype(np.uint8)
        shown = ATTACKS[attack](bits[:colluders], bits, rng)
        peaks = _suspicion(bias, bits, shown).peaks[colluders:]
        wrong += bool((peaks >= np.log(recipients / alpha)).any())
        high += int((peaks >= np.log(50)).sum())
    assert wrong <= 20 * alpha + 3 * np.sqrt(20 * alpha * (1 - alpha))
    assert high <= 20_000 / 50 * 1.3


@pytest.mark.parametrize(("colluders", "slots"), [(2, 300), (3, 650)])
@pytest.mark.parametrize("attack", ["interleaved", "majority", "dropped where they differ"])
def test_a_colluder_is_found_among_a_million_with_enough_slots(attack: str, colluders: int, slots: int) -> None:
    rng, found = np.random.default_rng(colluders), 0
    for _ in range(10):
        bias = arcsine_bias(rng.random(slots))
        bits = (rng.random((colluders, slots)) < bias).astype(np.uint8)
        peaks = _suspicion(bias, bits, ATTACKS[attack](bits, bits, rng)).peaks
        found += bool(peaks.max() >= np.log(1e6 / 1e-3))
    assert found >= 8
