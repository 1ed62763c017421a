"""The paper's rule, as it is, flaws and all."""

from __future__ import annotations

import numpy as np
import pytest

from detect.provenance.trainprove import batch_values, grubbs_critical, trainprove
from detect.suspects.classifiers.classifier import Answers
from protect.errors import EvidenceError, InputError

RNG = np.random.default_rng(0)
TRUTH = RNG.integers(0, 10, 5120)


def answers(accuracy: float, seed: int, sharp: float = 4.0) -> Answers:
    """A classifier that is right with a probability; wrong answers are uniform."""
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(len(TRUTH)) < accuracy, TRUTH, (TRUTH + rng.integers(1, 10, len(TRUTH))) % 10)
    return Answers(labels, sharp * np.eye(10)[labels] + 0.1 * rng.normal(size=(len(TRUTH), 10)))


def test_critical_values_are_those_of_grubbs() -> None:
    """3.036 at n = 40 and 0.05 is the value of the released code's setting."""
    assert grubbs_critical(40, 0.05) == pytest.approx(3.036, abs=5e-4)
    assert grubbs_critical(313, 0.05) == pytest.approx(3.74, abs=0.01)
    assert grubbs_critical(40, 0.01) > grubbs_critical(40, 0.05)


def test_an_innocent_five_points_worse_is_accused_almost_always() -> None:
    """The known flaw: guilt is what was not rejected."""
    accused = [trainprove(answers(0.9, 2 * s), answers(0.85, 2 * s + 1), TRUTH).accused for s in range(60)]
    assert np.mean(accused) >= 0.9
    assert trainprove(answers(0.8, 1), answers(0.99, 2), TRUTH).accused, "better than the shadow is always guilty"
    assert not trainprove(answers(0.9, 1), answers(0.4, 2), TRUTH).accused


def test_smaller_batches_accuse_more() -> None:
    shadow, suspect = answers(0.8, 1), answers(0.66, 2)
    assert not trainprove(shadow, suspect, TRUTH, batch=128).accused
    assert trainprove(shadow, suspect, TRUTH, batch=16).accused


def test_variants_look_at_entropy_and_similarity() -> None:
    shadow = answers(0.9, 1)
    unsure = answers(0.9, 2, sharp=0.2)
    for variant in ("entropy", "similarity"):
        assert trainprove(shadow, answers(0.9, 3), TRUTH, variant=variant).accused  # type: ignore[arg-type]
        assert not trainprove(shadow, unsure, TRUTH, variant=variant).accused  # type: ignore[arg-type]
    assert len(batch_values(shadow, TRUTH, "similarity")) == 10
    part = Answers(shadow.labels[:5000])
    assert len(batch_values(part, TRUTH[:5000], "accuracy")) == 40, "the last batch is partial"
    even = Answers(TRUTH, np.zeros((len(TRUTH), 10)))
    assert batch_values(even, TRUTH, "entropy") == pytest.approx(np.log(10))


def test_what_cannot_be_judged_is_refused() -> None:
    with pytest.raises(InputError, match="labels only"):
        trainprove(Answers(TRUTH), Answers(TRUTH), TRUTH, variant="entropy")
    with pytest.raises(InputError, match="2 batches"):
        trainprove(answers(0.9, 1), answers(0.9, 2), TRUTH, batch=2560)
    with pytest.raises(EvidenceError, match="same on every batch"):
        trainprove(Answers(TRUTH), answers(0.9, 2), TRUTH)
