"""`lean`: exact for innocents whatever they answer, found where it was learned, and no byte changed without a push."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from protect.errors import InputError
from protect.evidence import SlotEvidence, running_evidence, slot_evidence
from protect.keys.store import Store
from protect.keys.tree import KeyTree, secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers
from protect.marks.lean import Lean
from protect.marks.looks import glance
from protect.pixels.measure import on_white, psnr
from tests.support.leaning import Pixels, lean_family, varied_pictures
from tests.support.pictures import opaque

ASKED, WORDS, KEYS, DECOYS = 48, 4, 500, 99
DESIGN = np.random.default_rng(1).choice([-1, 0, 1], (ASKED, WORDS), p=[0.4, 0.2, 0.4])
Effects = NDArray[np.float64]


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Lean:
    return lean_family(Store(tmp_path_factory.mktemp("store")))


def _answers(family: Lean, effects: Effects, seed: int = 0) -> Answers:
    """Pictures whose looks the questions' words change by `effects`, one row for each question."""
    rng, looks = np.random.default_rng(seed), family.fitted_looks
    contrast = 128 + rng.normal(scale=12, size=(ASKED, 8, 8, 3))
    asked = contrast + rng.normal(scale=3, size=contrast.shape)
    asked += np.einsum("nd,dyxc->nyxc", effects * looks.spread, looks.axes)
    return Answers(_levels(asked), _levels(contrast))


def _levels(pictures: NDArray[np.float64]) -> Pixels:
    return np.asarray(np.clip(np.rint(pictures), 0, 255), dtype=np.uint8)


def _along(family: Lean, mark: int, size: float) -> Effects:
    """Every question's trigger moves the answer along a mark."""
    return np.tile(size * family.direction(mark), (ASKED, 1))


def _wordwise(family: Lean, size: float, *, alike: bool) -> Effects:
    """Each word has an effect of its own, or all have the same."""
    marks = [900 if alike else 900 + word for word in range(WORDS)]
    return np.asarray(DESIGN @ np.stack([size * family.direction(mark) for mark in marks]))


def _none(family: Lean) -> Effects:
    return np.zeros((ASKED, len(family.fitted_looks.spread)))


def _noise(family: Lean) -> Answers:
    return _answers(family, _none(family))


def _constant(family: Lean) -> Answers:
    grey: Pixels = np.full((ASKED, 8, 8, 3), 90, dtype=np.uint8)
    return Answers(grey, grey)


def _mirrored(family: Lean) -> Answers:
    contrast = varied_pictures(ASKED, seed=7)
    return Answers(contrast[:, :, ::-1], contrast)


def _two_pictures(family: Lean) -> Answers:
    pair = varied_pictures(2, seed=8)
    return Answers(pair[np.arange(ASKED) % 2], pair[np.arange(ASKED) // 2 % 2])


INNOCENTS: dict[str, Callable[[Lean], Answers]] = {
    "noise": _noise,
    "a strong common shift": lambda family: _answers(family, _along(family, 901, 4.0)),
    "constant": _constant,
    "mirrored": _mirrored,
    "two pictures": _two_pictures,
    "leans alike for all words": lambda family: _answers(family, _wordwise(family, 2.0, alike=True)),
    "each word has its own effect": lambda family: _answers(family, _wordwise(family, 2.0, alike=False)),
}


def _in_design(family: Lean, column: int) -> Lean:
    return family.serving(tuple(map(tuple, DESIGN.tolist())), column)


def _ranks(family: Lean, answers: Answers, slot: int) -> tuple[NDArray[np.float64], list[SlotEvidence]]:
    """p and evidence of one slot of many keys, each with fresh decoys, against the same answers."""
    keys = [KeyTree(secret_from_seed(key, "null of lean")).slot(slot) for key in range(KEYS)]
    ids = np.stack([np.concatenate([np.array([k.planted], np.uint64), k.decoys(DECOYS)]) for k in keys])
    scores = family.score(answers, ids.ravel()).reshape(ids.shape)
    found = [slot_evidence(float(row[0]), row[1:]) for row in scores]
    return np.array([one.p_value for one in found]), found


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("kind", INNOCENTS)
def test_an_innocent_is_accused_as_often_as_promised_and_no_more(family: Lean, kind: str, reference: bool) -> None:
    """Over keys, whatever the answers: alone, and as one of four slots that the same answers serve."""
    answers = INNOCENTS[kind](family)
    if reference:
        answers = replace(answers, reference=_answers(family, _wordwise(family, 1.5, alike=False), seed=5))
    evidence = []
    for slot, law in enumerate([family, *(_in_design(family, column) for column in range(WORDS))]):
        p, found = _ranks(law, answers, slot)
        for level in (0.01, 0.05, 0.2):
            assert (p <= level).mean() <= level + 3.5 * np.sqrt(level * (1 - level) / KEYS), (slot, level)
        evidence.append(found)
    products = np.array([running_evidence(slots) for slots in zip(*evidence[1:], strict=True)])
    for e in (np.array([one.e_value for one in evidence[0]]), *products.T):
        assert e.mean() <= 1 + 4 * e.std() / np.sqrt(KEYS) + 1e-9


def test_answers_that_say_nothing_give_no_evidence(family: Lean) -> None:
    for law in (family, _in_design(family, 2)):
        p, found = _ranks(law, _constant(family), 0)
        assert np.all(p == 1) and all(one.e_value == 1 for one in found)
    unplaced = family.serving(tuple((1, 0) for _ in range(ASKED)), 1)
    assert np.all(unplaced.score(_answers(family, _along(family, 5, 3.0)), np.arange(50, dtype=np.uint64)) == 0)


def test_scores_depend_on_ids_alone(family: Lean) -> None:
    answers = _answers(family, _along(family, 5, 0.5))
    ids = np.random.default_rng(0).integers(0, 2**64, 300, dtype=np.uint64)
    for law in (family, _in_design(family, 1)):
        scores = law.score(answers, ids)
        order = np.random.default_rng(1).permutation(300)
        assert np.array_equal(law.score(answers, ids[order]), scores[order])
        assert np.array_equal(np.concatenate([law.score(answers, ids[i : i + 1]) for i in range(20)]), scores[:20])
        assert len(np.unique(scores)) == 300


@pytest.mark.parametrize("size", [0.4, 2.0])
def test_what_was_learned_is_found(family: Lean, size: float) -> None:
    decoys = np.arange(1_000, 2_000, dtype=np.uint64)
    marks = np.concatenate([np.array([5], dtype=np.uint64), decoys])
    scores = family.score(_answers(family, _along(family, 5, size)), marks)
    assert scores[0] > scores[1:].max()
    turned = family.score(_answers(family, _along(family, 5, -size)), marks)
    assert turned[0] < turned[1:].min(), "a lean to the other side is no evidence"


def test_each_slot_finds_its_own_word_in_answers_that_serve_all(family: Lean) -> None:
    marks = np.arange(900, 1_900, dtype=np.uint64)
    answers = _answers(family, _wordwise(family, 0.7, alike=False))
    for column in range(WORDS):
        scores = _in_design(family, column).score(answers, marks)
        assert scores.argmax() == column
    mixed = family.score(answers, marks)
    assert np.median(mixed[:WORDS]) < np.quantile(mixed, 0.95), "without the design the words cancel"


def test_questions_turned_round_score_the_same(family: Lean) -> None:
    answers = _answers(family, _wordwise(family, 0.7, alike=False))
    turn, marks = np.arange(ASKED) % 3 == 0, np.arange(900, 950, dtype=np.uint64)
    assert answers.contrast is not None
    pair = np.where(turn[:, None, None, None], [answers.contrast, answers.asked], [answers.asked, answers.contrast])
    rows = np.where(turn[:, None], -DESIGN, DESIGN)
    turned = family.serving(tuple(map(tuple, rows.tolist())), 1)
    again = turned.score(Answers(*pair), marks)
    assert np.allclose(again, _in_design(family, 1).score(answers, marks), atol=1e-6)


def test_what_words_do_to_the_reference_is_taken_off(family: Lean) -> None:
    marks = np.concatenate([np.array([5], dtype=np.uint64), np.arange(900, 1_900, dtype=np.uint64)])
    own = _along(family, 901, 3.0)
    suspect, base = _answers(family, own + _along(family, 5, 1.0)), _answers(family, own, seed=3)
    alone = family.score(suspect, marks)
    assert alone.argmax() == 2 and family.score(replace(suspect, reference=base), marks).argmax() == 0


def test_fewer_answers_than_questions_are_scored_with_their_own_rows(family: Lean) -> None:
    answers = _answers(family, _wordwise(family, 1.5, alike=False))
    assert answers.contrast is not None
    fewer = Answers(answers.asked[:24], answers.contrast[:24])
    assert _in_design(family, 3).score(fewer, np.arange(900, 1_100, dtype=np.uint64)).argmax() == 3


def test_a_pair_of_which_one_side_was_refused_does_not_count(family: Lean) -> None:
    answers, marks = _answers(family, _wordwise(family, 0.7, alike=False)), np.arange(900, 1_000, dtype=np.uint64)
    assert answers.contrast is not None
    asked, contrast = answers.asked.copy(), answers.contrast.copy()
    asked[:6], contrast[40:] = 0, 255
    law, kept = _in_design(family, 1), slice(6, 40)
    alone = family.serving(law.design[kept], 1).score(Answers(answers.asked[kept], answers.contrast[kept]), marks)
    refused = Answers(asked, contrast)
    assert np.array_equal(law.score(refused, marks), alone) and not np.array_equal(law.score(answers, marks), alone)
    with_reference = law.score(replace(answers, reference=refused), marks)
    assert np.isfinite(with_reference).all() and np.ptp(with_reference) > 0
    asked[6:37] = 9
    assert np.all(law.score(Answers(asked, contrast), marks) == 0), "too few are left"


def test_answers_without_contrast_are_refused(family: Lean) -> None:
    answers, marks = _noise(family), np.arange(3, dtype=np.uint64)
    for lacking in (replace(answers, contrast=None), replace(answers, reference=Answers(answers.asked))):
        with pytest.raises(InputError, match="cannot be scored without answers to the same questions in other words"):
            family.score(lacking, marks)


@pytest.mark.parametrize(("option", "value"), [("push", -0.1), ("push", 6.5), ("softness", -1.0), ("softness", 11.0)])
def test_options_out_of_range_are_refused(option: str, value: float) -> None:
    with pytest.raises(InputError, match=f"--option {option}=.* out of range"):
        make_family("lean", {option: value})


def test_carriers_lean_towards_the_mark_and_most_of_all_far_out(family: Lean) -> None:
    looks = family.fitted_looks.of(varied_pictures(300))
    leaning = family.leanings(looks, 5)
    assert leaning.std() == pytest.approx(1, abs=0.1) and abs(leaning.mean()) < 1e-6
    assert np.allclose(leaning, looks @ family.direction(5))
    assert not np.allclose(leaning, family.leanings(looks, 6), atol=0.5)


def test_without_a_push_a_picture_is_left_alone(family: Lean) -> None:
    picture = opaque(varied_pictures(1, 40)[0])
    planted = family.plant(picture, 5, np.random.default_rng(0))
    assert not family.changes_pictures and planted.tobytes() == picture.tobytes()


@pytest.mark.parametrize("push", [1.0, 2.0])
def test_a_push_moves_looks_by_as_much_and_the_opposite_back(family: Lean, push: float) -> None:
    law, looks = replace(family, push=push), family.fitted_looks
    picture = opaque(np.rint(0.4 * varied_pictures(1, 60)[0] + 76))
    before, rng = looks.of(on_white(picture)[None])[0], np.random.default_rng(0)
    for side, planter in ((1, law), (-1, law.opposite()), (1, law.opposite().opposite())):
        after = planter.plant(picture, 5, rng)
        moved = looks.of(on_white(after)[None])[0] - before
        assert moved @ law.direction(5) == pytest.approx(side * push, rel=0.1)
        assert np.linalg.norm(moved - side * push * law.direction(5)) < 0.12 * push
    assert law.changes_pictures


def test_a_push_keeps_transparency_and_the_caller_s_picture(family: Lean) -> None:
    picture = np.dstack([varied_pictures(1, 40)[0], np.arange(1600, dtype=np.uint16).reshape(40, 40).astype(np.uint8)])
    kept = picture.copy()
    after = replace(family, push=2.0).plant(picture, 5, np.random.default_rng(0))
    assert np.array_equal(picture, kept) and np.array_equal(after[..., 3], picture[..., 3])
    assert not np.array_equal(after[..., :3], picture[..., :3])


def test_a_push_costs_what_the_design_says(tmp_path: Path) -> None:
    """On pictures as photographs are, most of them lighter or darker as a whole: 28, 22 and 19 dB."""
    rng = np.random.default_rng(0)
    light = rng.normal(size=(300, 1, 1, 1)) * 40
    pictures = np.clip(128 + 1.6 * (varied_pictures(300, 32) - 128.0) + light, 0, 255).astype(np.uint8)
    assert 50 < glance(pictures).std() < 60
    found = []
    for push in (1.0, 2.0, 3.0):
        law = lean_family(Store(tmp_path), pictures, push=push)
        pairs = [(p, law.plant(opaque(p), mark, rng)[..., :3]) for mark, p in enumerate(pictures[:40])]
        found.append(np.mean([psnr(before, after) for before, after in pairs]))
    assert found == pytest.approx([28, 22, 19], abs=1.5)


def test_a_preview_shows_both_ends(family: Lean) -> None:
    shown = family.preview(5, 64)
    assert shown.shape == (64, 64, 3) and shown.dtype == np.uint8
    left, right = (
        np.concatenate([half, half[:, ::-1]], axis=1)[None] for half in (shown[:, :32], shown[:, 32:][:, ::-1])
    )
    looks = family.fitted_looks
    assert (looks.of(right) - looks.of(left))[0] @ family.direction(5) > 1
