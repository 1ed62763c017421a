"""How many slots name who leaked: it grows with all that makes it harder, and nothing learned names nobody."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from protect.release.power import Run
from protect.release.tracing import BET, code_slots_needed, hedged, learned_alike, likeness_of, slots_needed


def _learned(*p_values: float, sightings: float = 1000.0) -> Run:
    return Run("lean", "wording", "lora", sightings, True, {}, f"model {sightings}", len(p_values), p_values)


def test_likeness_is_what_chance_gives_a_direction_in_p() -> None:
    rng = np.random.default_rng(0)
    cosine = np.sort(rng.normal(size=(200_000, 24)) @ np.eye(24)[0])
    marks = rng.normal(size=(200_000, 24))
    cosine = np.sort(marks[:, 0] / np.linalg.norm(marks, axis=1))[::-1]
    for p in (0.2, 0.01, 0.001):
        assert likeness_of(np.array([p]), 24)[0] == pytest.approx(cosine[int(p * 200_000)], abs=0.02)
    assert likeness_of(np.array([0.5, 0.9, 1.0]), 24).tolist() == [0, 0, 0]


def test_more_slots_are_needed_for_more_recipients_and_for_more_colluders_and_where_less_was_learned() -> None:
    well, badly = [_learned(0.0005, 0.001, 0.0002)], [_learned(0.02, 0.05, 0.01)]
    by_number = [slots_needed(well, n, 1, 1e-3, 24) for n in (1, 100, 10_000, 1_000_000)]
    assert by_number == sorted(by_number) and len(set(by_number)) == 4  # type: ignore[type-var]
    one, two = (slots_needed(well, 50, c, 1e-3, 48) for c in (1, 2))
    assert one is not None and two is not None and one < two
    assert slots_needed(well, 50, 5, 1e-3, 24) is None, "many slots share the directions of looks, and teach less each"
    few, more = slots_needed(well, 50, 1, 1e-3, 24), slots_needed(badly, 50, 1, 1e-3, 24)
    assert few is not None and more is not None and few < more
    assert slots_needed([_learned(0.5, 0.7)], 2, 1, 0.05, 24) is None, "where nothing was learned, nobody is named"


def test_runs_that_saw_more_than_is_expected_promise_nothing() -> None:
    runs = [_learned(0.1, sightings=s) for s in (100.0, 450.0, 800.0, 5000.0)] + [
        Run("lean", "wording", "lora", 800.0, True)
    ]
    assert [run.sightings for run in learned_alike(runs, 1000)] == [450, 800]
    assert learned_alike(runs, 99) == ()


def test_a_bet_on_part_of_the_evidence_is_an_e_value_too() -> None:
    law = stats.lognorm(s=2, scale=np.exp(-2))
    e = law.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert np.exp(hedged(np.log(e))).mean() == pytest.approx(1 - BET + BET * e.mean())
    assert np.exp(hedged(np.array([-1e9, 0.0]))) == pytest.approx([1 - BET, 1])


def test_a_tracing_code_needs_hundreds_of_slots_against_colluders() -> None:
    by_colluders = [code_slots_needed(50, c, 1e-3) for c in (1, 2, 3)]
    assert by_colluders == sorted(by_colluders) and 100 < (by_colluders[1] or 0) < 200  # type: ignore[type-var]
    assert code_slots_needed(10**6, 12, 1e-3) is None
