"""What colluders make of their copies, and who is named for it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.trace.collusion import NONE, STRATEGIES, choices_in, merged_captions
from detect.trace.evidence import Suspicion, yardstick
from detect.trace.simulation import Learner, copies_of, taught
from protect.alignments.sites.file import stored_sites
from protect.alignments.sites.site import Site
from protect.evidence import Array
from protect.marks.directions import directions
from protect.release.power import Run
from protect.release.tracing import likeness_of, slots_needed
from tests.support.leaning import PHRASES, sayable_captions

LENGTH = 24
SITES: tuple[Site, ...] = stored_sites("\n".join(json.dumps([*row.split(","), "first"]) for row in PHRASES).encode())


@pytest.fixture(scope="module")
def copies() -> NDArray[np.int8]:
    """Three copies of 500 samples with 5 sites, one of which does not fit every caption."""
    rng = np.random.default_rng(0)
    found = rng.integers(0, 2, (3, 500, 5)).astype(np.int8)
    found[:, 100:200, 4] = NONE
    return found


@pytest.mark.parametrize("name", STRATEGIES)
def test_colluders_know_no_more_than_their_copies_say(name: str, copies: NDArray[np.int8]) -> None:
    merged = STRATEGIES[name](copies, np.random.default_rng(1))
    assert merged.choices.dtype == np.int8 and len(merged.samples) == len(merged.choices)
    theirs = copies[:, merged.samples]
    assert np.all((merged.choices == NONE) == (theirs[0] == NONE))
    if name != "agreed words":
        assert np.all((merged.choices == theirs).any(axis=0)), "every side stands in one of the copies"
    agreed = (theirs == theirs[0]).all(axis=0)
    assert np.array_equal(merged.choices[agreed], theirs[0][agreed]), "where all agree, there is nothing to change"
    alone = STRATEGIES[name](copies[:1], np.random.default_rng(1))
    assert np.array_equal(alone.choices, copies[0]) and np.array_equal(alone.samples, np.arange(500))


def test_each_strategy_does_what_it_says(copies: NDArray[np.int8]) -> None:
    def made(name: str) -> NDArray[np.int8]:
        return STRATEGIES[name](copies, np.random.default_rng(1)).choices

    fits = copies[0] != NONE
    assert (made("by sample")[:, None] == copies.transpose(1, 0, 2)).all(axis=2).any(axis=1).all()
    whole = (made("by site")[None] == copies).all(axis=1)
    assert whole.any(axis=0).all() and whole.sum() >= 5
    assert np.array_equal(made("majority")[fits], (copies.sum(axis=0) >= 2)[fits])
    agreed = STRATEGIES["agreed samples"](copies[:2], np.random.default_rng(1)).samples
    assert 5 < len(agreed) < 40 and np.array_equal(copies[0, agreed], copies[1, agreed])
    assert len(made("union")) == 1500
    differ = (copies != copies[0]).any(axis=0)
    assert not made("agreed words")[differ].any()
    shares = [(made("averaged")[fits] == copy[fits]).mean() for copy in copies]
    assert all(0.6 < share < 0.73 for share in shares), "each copy has its part, and half of the others' by chance"


def test_captions_are_merged_word_by_word() -> None:
    originals = sayable_captions(60)
    keys = [f"{i}.png" for i in range(60)]
    rng = np.random.default_rng(0)
    copies = []
    for _ in range(3):
        captions = originals
        for site in SITES:
            sides = rng.integers(0, 2, 60)
            captions = [site.turned(caption, int(side)) for caption, side in zip(captions, sides, strict=True)]
        copies.append(dict(zip(keys, captions, strict=True)))
    for name, strategy in STRATEGIES.items():
        merged = merged_captions(copies, SITES, strategy, np.random.default_rng(3))
        every = np.stack([choices_in(list(copy.values()), SITES) for copy in copies])
        expected = strategy(every, np.random.default_rng(3))
        assert [key for key, _ in merged] == [keys[sample] for sample in expected.samples]
        assert np.array_equal(choices_in([caption for _, caption in merged], SITES).reshape(-1, 6), expected.choices)
        if name == "by sample":
            assert all(caption in {copy[key] for copy in copies} for key, caption in merged)


def _looks(count: int = 2400) -> Array:
    return np.random.default_rng(0).normal(size=(count, LENGTH))


def _marks(rng: np.random.Generator, recipients: int, slots: int) -> Array:
    return directions(rng.integers(0, 2**64, recipients, dtype=np.uint64), slots, LENGTH)


def _suspicion(shown: Array, marks: Array, rng: np.random.Generator) -> Suspicion:
    """Evidence against recipients with these marks (n, K, d), from what answers show (K, d)."""
    suspicion = Suspicion(len(marks))
    for slot, effect in enumerate(shown):
        decoys = directions(rng.integers(0, 2**64, 20_000, dtype=np.uint64), 1, LENGTH)[:, 0]
        logs = yardstick(decoys @ effect).log_e_values(marks[:, slot] @ effect)
        suspicion.add(lambda places, logs=logs: logs[:, places])  # type: ignore[misc]
    return suspicion


@pytest.mark.parametrize("name", STRATEGIES)
def test_innocents_are_not_named_for_what_colluders_did(name: str) -> None:
    """30,000 innocents, ten sets of three colluders whose copies were learned very well."""
    rng, looks, alpha, wrong, high = np.random.default_rng(7), _looks(), 0.2, 0, 0
    for _ in range(10):
        marks = _marks(rng, 3003, 6)
        merged = STRATEGIES[name](copies_of(looks, marks[:3]), rng)
        shown = Learner(np.full(6, 0.95), 1.6).shows(taught(looks, merged), rng)
        peaks = _suspicion(shown, marks, rng).peaks[3:]
        wrong += bool((peaks >= np.log(3003 / alpha)).any())
        high += int((peaks >= np.log(50)).sum())
    assert wrong <= 10 * alpha + 3 * np.sqrt(10 * alpha * (1 - alpha))
    assert high <= 30_000 / 50 * 1.3


@pytest.mark.parametrize("colluders", [1, 2])
@pytest.mark.parametrize("name", ["by sample", "by site", "majority", "union"])
def test_what_the_plan_promises_is_found(name: str, colluders: int) -> None:
    """With the slots that `protect plan` wants, one of the colluders is named nearly as often as it says."""
    run = Run("lean", "wording", "lora", 1.0, True, {}, "model", 4, (1e-4, 2e-3, 1e-3, 1e-4))
    slots = slots_needed([run], 1000, colluders, 1e-2, LENGTH)
    assert slots is not None and slots >= 2
    rng, looks, found = np.random.default_rng(11), _looks(), 0
    for _ in range(16):
        marks = _marks(rng, colluders, slots)
        merged = STRATEGIES[name](copies_of(looks, marks), rng)
        likeness = rng.choice(likeness_of(np.array(run.p_values), LENGTH), slots)
        shown = Learner(likeness, 1.6).shows(taught(looks, merged), rng)
        found += bool(_suspicion(shown, marks, rng).peaks.max() >= np.log(1000 / 1e-2))
    assert found >= 12, "nine in ten are promised"


def test_a_copy_teaches_its_own_direction_and_a_model_shows_it_as_well_as_was_measured() -> None:
    rng, looks = np.random.default_rng(3), _looks(4000)
    marks = _marks(rng, 1, 3)
    lesson = taught(looks, STRATEGIES["union"](copies_of(looks, marks), rng))
    size = np.linalg.norm(lesson, axis=1)
    assert size == pytest.approx(np.full(3, 1.6), abs=0.15) and np.all((lesson * marks[0]).sum(axis=1) > 0.9 * size)
    likeness = np.array([0.3, 0.6, 0.9])
    shown = np.stack([Learner(likeness, 1.6).shows(lesson, rng) for _ in range(400)])
    cosine = (shown * marks[0]).sum(axis=2) / np.linalg.norm(shown, axis=2)
    assert cosine.mean(axis=0) == pytest.approx(likeness, abs=0.05)
    nothing = STRATEGIES["agreed samples"](1 - np.stack([np.ones((9, 2)), np.zeros((9, 2))]).astype(np.int8), rng)
    assert not taught(looks, nothing).any()
