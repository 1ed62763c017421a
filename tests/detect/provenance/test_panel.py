"""The panel: valid where its assumption holds, powerful on a planted gap, and plain about what it cannot say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from detect.provenance.panel import contrast, panel, trouble
from detect.suspects.classifiers.classifier import Answers
from protect.errors import InputError

PICTURES, REFERENCES = 300, 19


def right(rng: np.random.Generator, skill: float, gap: float) -> tuple[np.ndarray, list[np.ndarray]]:
    """What a classifier gets right: on the generator's pictures `gap` more often than on three controls."""
    return rng.random(PICTURES) < skill + gap, [rng.random(PICTURES) < skill for _ in range(3)]


def one(rng: np.random.Generator, gap: float) -> float:
    references = [contrast(*right(rng, rng.uniform(0.4, 0.8), rng.normal(0, 0.03))) for _ in range(REFERENCES)]
    return panel(*right(rng, rng.uniform(0.4, 0.8), gap + rng.normal(0, 0.03)), references, 0.05).panel_p


def test_an_exchangeable_innocent_is_accused_at_the_level() -> None:
    rng = np.random.default_rng(0)
    p = np.array([one(rng, 0.0) for _ in range(1000)])
    for level in (0.05, 0.1, 0.5):
        hits = int((p <= level).sum())
        assert stats.binomtest(hits, len(p), level, alternative="greater").pvalue > 1e-3
        assert hits > level * len(p) / 2, "not merely never accusing"


def test_a_gap_is_found() -> None:
    rng = np.random.default_rng(1)
    assert np.mean([one(rng, 0.2) <= 0.05 for _ in range(100)]) >= 0.95


def test_ties_count_against_the_owner() -> None:
    same = np.ones(10, dtype=bool)
    assert panel(same, [same, same], [0.0] * 19, 0.05).panel_p == 1.0


def test_too_few_references_are_refused() -> None:
    own = np.ones(10, dtype=bool)
    with pytest.raises(InputError, match=r"Smallest reachable: 0\.1\. Train 19 or more"):
        panel(own, [own], [0.0] * 9, 0.05)


def test_answers_that_say_nothing_are_told() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 10, 1000)
    assert "everything" in trouble(Answers(np.full(1000, 3)), truth, 10)
    assert "shifted by +1" in trouble(Answers(np.where(rng.random(1000) < 0.8, truth + 1, 0)), truth, 10)
    assert "shifted by -1" in trouble(Answers(np.where(rng.random(1000) < 0.8, truth - 1, 5)), truth, 10)
    assert "no better than chance" in trouble(Answers(rng.integers(0, 10, 1000)), truth, 10)
    assert trouble(Answers(np.where(rng.random(1000) < 0.4, truth, 0)), truth, 10) == ""
