"""The rules of the papers do what their papers say, and accuse whom they accuse."""

from __future__ import annotations

import numpy as np
import pytest

from detect.baselines import (
    diagnosis,
    entruth,
    entruth_threshold,
    scores_of_outputs,
    siren,
    train_signal_classifier,
)
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import Answers


def test_siren_is_a_one_sided_two_sample_test() -> None:
    rng = np.random.default_rng(0)
    clean = rng.normal(size=300)
    assert siren(rng.normal(2, 1, 30), clean).accused
    assert not siren(rng.normal(-2, 1, 30), clean).accused
    p = np.array([siren(rng.normal(size=30), rng.normal(size=300)).statistic for _ in range(300)])
    assert (p < 0.05).mean() < 0.11


def test_siren_accuses_an_innocent_of_another_domain() -> None:
    """Half a standard deviation of shift, as another base or sampler makes it: accused far more often than alpha."""
    rng = np.random.default_rng(1)
    accused = [siren(rng.normal(0.5, 1, 30), rng.normal(size=300), alpha=0.05).accused for _ in range(200)]
    assert np.mean(accused) > 0.3


def test_entruth_compares_with_the_best_clean_output() -> None:
    threshold = entruth_threshold([np.array([0.1, 0.3]), np.array([0.2])])
    assert threshold == 0.3
    assert entruth(np.array([0.1, 0.4]), threshold).accused
    assert not entruth(np.array([0.1, 0.4]), threshold, queries=1).accused


def test_scores_of_outputs_average_to_the_score_of_all_or_more() -> None:
    """More where some outputs are likelier mirrored: each is seen as it is and mirrored, all of them only alike."""
    law = make_family("template", {})
    outputs = np.stack([law.preview(i, 32) for i in (5, 5, 6)])
    alone = scores_of_outputs(law, outputs, None, 5)
    assert alone.shape == (3,) and alone[0] == alone[1] > alone[2]
    together = law.score(Answers(outputs), np.array([5], dtype=np.uint64))[0]
    assert alone.mean() >= together - 1e-8
    same = scores_of_outputs(law, outputs[:2], None, 5).mean()
    assert same == pytest.approx(law.score(Answers(outputs[:2]), np.array([5], dtype=np.uint64))[0], abs=1e-8)


def test_diagnosis_learns_a_plain_signal_and_applies_its_share() -> None:
    rng = np.random.default_rng(2)
    clean = rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)
    coated = (clean // 2 + 100).astype(np.uint8)
    classifier = train_signal_classifier(coated[:16], clean[:16], epochs=40)
    assert diagnosis(classifier, coated[16:]).accused
    assert not diagnosis(classifier, clean[16:]).accused
    again = train_signal_classifier(coated[:16], clean[:16], epochs=40)
    assert np.array_equal(again.coated(clean), classifier.coated(clean))


def test_empty_inputs_are_refused() -> None:
    none, pictures = np.zeros(0), np.zeros((0, 32, 32, 3), np.uint8)
    for call in (
        lambda: siren(none, np.ones(3)),
        lambda: entruth_threshold([none]),
        lambda: train_signal_classifier(pictures, pictures),
    ):
        with pytest.raises(InputError):
            call()
