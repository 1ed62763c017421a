"""The panel: valid where its assumption holds, powerful on a planted gap, and plain about what it cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detect.provenance.panel import contrasts_without, panel, trouble
from detect.suspects.classifiers.classifier import Answers
from protect.errors import InputError

PICTURES, REFERENCES = 300, 19


SOURCES, HOME = 2, 0.15
"""Controls, and by how much more often a classifier is right on pictures of the source that it learned from."""


def right(rng: np.random.Generator, home: int | None, gap: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a classifier gets right on the generator's pictures and on the controls, one of which it learned from."""
    skill = rng.uniform(0.3, 0.7)
    own = rng.random(PICTURES) < skill + gap + rng.normal(0, 0.03)
    return own, [rng.random(PICTURES) < skill + HOME * (place == home) for place in range(SOURCES)]


def group(rng: np.random.Generator, home: int) -> list[float]:
    """References that learned from one control."""
    return [contrasts_without(*right(rng, home, 0.0))[home] for _ in range(REFERENCES)]


def one(rng: np.random.Generator, home: int | None, gap: float) -> float:
    return panel(*right(rng, home, gap), [group(rng, place) for place in range(SOURCES)], 0.05).panel_p


@pytest.mark.parametrize("home", [0, 1, None])
def test_an_innocent_is_accused_at_the_level_at_most(home: int | None) -> None:
    rng = np.random.default_rng(home or 7)
    p = np.array([one(rng, home, 0.0) for _ in range(400)])
    for level in (0.05, 0.1, 0.5):
        hits = int((p <= level).sum())
        assert stats.binomtest(hits, len(p), level, alternative="greater").pvalue > 1e-3
    if home is None:
        assert (p <= 0.5).mean() > 0.1, "not merely never accusing; one of a control's own kind is far from it"


def test_within_a_group_references_and_suspect_have_one_statistic() -> None:
    """Version 0.1 left a reference's own control out and the suspect's in: its ranks were not uniform."""
    rng = np.random.default_rng(6)
    ranks = np.array([panel(*right(rng, 1, 0.0), [group(rng, 1)] * SOURCES, 0.05).p_values[1] for _ in range(400)])
    for level in (0.05, 0.2, 0.5, 0.8):
        assert stats.binomtest(int((ranks <= level).sum()), len(ranks), level).pvalue > 1e-3


def test_a_gap_is_found() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([one(rng, None, 0.3) <= 0.05 for _ in range(60)]) >= 0.95


def test_ties_count_against_the_owner() -> None:
    same = np.ones(10, dtype=bool)
    assert panel(same, [same, same], [[0.0] * 19] * 2, 0.05).panel_p == 1.0


def test_too_few_references_are_refused() -> None:
    own = np.ones(10, dtype=bool)
    with pytest.raises(InputError, match=r"Smallest reachable: 0\.1\. Train 19 or more"):
        panel(own, [own, own], [[0.0] * 19, [0.0] * 9], 0.05)


def test_answers_that_say_nothing_are_told() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 10, 1000)
    assert "everything" in trouble(Answers(np.full(1000, 3)), truth, 10)
    assert "shifted by +1" in trouble(Answers(np.where(rng.random(1000) < 0.8, truth + 1, 0)), truth, 10)
    assert "shifted by -1" in trouble(Answers(np.where(rng.random(1000) < 0.8, truth - 1, 5)), truth, 10)
    assert "no better than chance" in trouble(Answers(rng.integers(0, 10, 1000)), truth, 10)
    assert trouble(Answers(np.where(rng.random(1000) < 0.4, truth, 0)), truth, 10) == ""
