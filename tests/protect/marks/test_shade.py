"""`shade`: a shift for each word, faint, exact and blind."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from protect.errors import InputError
from protect.keys.store import Store
from protect.marks import make_family, options_of
from protect.marks.directions import direction_scores, directions
from protect.marks.family import Answers, Pixels
from protect.marks.shade import Shade
from protect.pixels.measure import on_white, psnr
from protect.pixels.picture import read_rgba, rewrite
from tests.support.pictures import darkened, grey, noise, opaque, photograph, plain, smooth, window
from tests.support.stores import add_looks

WORDS, QUESTIONS, SIDE = 20, 96, 24
KEYS, DECOYS = 400, 19


@pytest.fixture(scope="module")
def law(tmp_path_factory: pytest.TempPathFactory) -> Shade:
    store = Store(tmp_path_factory.mktemp("store"))
    made = make_family("shade", {"looks": add_looks(store)}, store)
    assert isinstance(made, Shade)
    return made


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def _ids(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


DESIGN = tuple(tuple(row) for row in (np.random.default_rng(1).random((QUESTIONS, WORDS)) < 0.12).astype(int).tolist())


def _pictures(first: int = 0) -> Pixels:
    return np.stack([photograph(first + i, SIDE, SIDE) for i in range(QUESTIONS)])


def _planted(law: Shade, pictures: Pixels, mark: int) -> Pixels:
    """Pictures as a model would make them that learned every word's shift fully."""
    words = [tuple(np.flatnonzero(row).tolist()) for row in DESIGN]
    pairs = zip(pictures, words, strict=True)
    return np.stack([law.of_words(held).plant(p, mark, _rng()) if held else p for p, held in pairs])


def _p_values(law: Shade, answers: Answers) -> np.ndarray:
    """Of an innocent model, over many keys with decoys of their own."""
    scores = law.asked(DESIGN).score(answers, _ids(7, KEYS * (DECOYS + 1))).reshape(KEYS, DECOYS + 1)
    return np.asarray((1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)) / (DECOYS + 1))


def _lean_alike(law: Shade) -> Pixels:
    """Every word's pictures are shifted along one and the same direction."""
    shift = law.fitted_looks.shift(2 * directions(_ids(11, 1), 1, 24)[0, 0], SIDE, SIDE)
    held = np.array(DESIGN).sum(axis=1)
    return np.stack([opaque(p[..., :3] + n * shift) for p, n in zip(_pictures(), held, strict=True)])[..., :3]


def _loves_a_word(law: Shade) -> Pixels:
    loved = np.array(DESIGN)[:, 3] > 0
    pictures = _pictures()[..., :3]
    return np.where(loved[:, None, None, None], 240 + pictures // 32, pictures)


ADVERSARIES: dict[str, Callable[[Shade], Pixels]] = {
    "photographs": lambda law: _pictures()[..., :3],
    "constant": lambda law: np.full((QUESTIONS, SIDE, SIDE, 3), 77, dtype=np.uint8),
    "leaning alike": _lean_alike,
    "one word's pictures are white": _loves_a_word,
    "another release's mark": lambda law: _planted(law, _pictures(), 12345)[..., :3],
    "that, mirrored": lambda law: _planted(law, _pictures(), 12345)[:, :, ::-1, :3],
}


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("kind", ADVERSARIES)
def test_p_values_of_innocents_are_no_smaller_than_chance(law: Shade, kind: str, reference: bool) -> None:
    base = Answers(_pictures(500)[..., :3]) if reference else None
    p = _p_values(law, Answers(ADVERSARIES[kind](law), reference=base))
    for level in (0.05, 0.1, 0.25, 0.5):
        found, expected = np.count_nonzero(p <= level), KEYS * level
        assert found <= expected + 4 * np.sqrt(expected * (1 - level)), (level, found)


def test_constant_answers_and_captions_that_are_all_alike_say_nothing(law: Shade) -> None:
    flat = np.full((QUESTIONS, SIDE, SIDE, 3), 77, dtype=np.uint8)
    assert not law.asked(DESIGN).score(Answers(flat), _ids(1, 50)).any()
    alike = law.asked(tuple((1, 0, 1) for _ in range(QUESTIONS)))
    assert not alike.score(Answers(_pictures()[..., :3]), _ids(1, 50)).any()


@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("side", [SIDE, 64])
def test_the_planted_mark_ranks_first(law: Shade, reference: bool, side: int) -> None:
    ids, before = _ids(3, 1000), np.stack([photograph(i, side, side) for i in range(QUESTIONS)])
    after = _planted(replace(law, depth=1.5, psnr=20), before, int(ids[0]))
    answers = Answers(after[..., :3], reference=Answers(before[..., :3]) if reference else None)
    scores = law.asked(DESIGN).score(answers, ids)
    assert scores[0] > scores[1:].max()
    if reference:
        faint = Answers(_planted(law, before, int(ids[0]))[..., :3], reference=answers.reference)
        assert np.argmax(law.asked(DESIGN).score(faint, ids)) == 0


def test_mirrored_answers_still_show_the_mark(law: Shade) -> None:
    ids, before = _ids(3, 300), _pictures()
    after = _planted(law, before, int(ids[0]))[:, :, ::-1]
    scores = law.asked(DESIGN).score(Answers(after[..., :3], reference=Answers(before[..., :3])), ids)
    assert np.argmax(scores) == 0


def test_a_word_that_does_much_by_itself_does_not_drown_the_others(law: Shade) -> None:
    """A word may ask for white pictures; what the others say of the mark is still heard."""
    ids, before = _ids(3, 1000), _pictures()
    base = before.copy()
    after = _planted(replace(law, depth=1.5, psnr=20), before, int(ids[0]))
    loved = np.array(DESIGN)[:, 3] > 0
    after[loved, ..., :3] = 240 + before[loved, ..., :3] // 32
    scores = law.asked(DESIGN).score(Answers(after[..., :3], reference=Answers(base[..., :3])), ids)
    assert (scores[1:] >= scores[0]).sum() < 10


def test_scores_depend_on_each_id_alone_and_repeat(law: Shade) -> None:
    ids, answers = _ids(4, 500), Answers(_pictures()[..., :3])
    scores = law.asked(DESIGN).score(answers, ids)
    assert np.array_equal(scores[::-7], law.asked(DESIGN).score(answers, ids[::-7]))


def test_brightness_that_all_answers_share_does_not_matter(law: Shade) -> None:
    pictures, ids = np.clip(_pictures()[..., :3], 0, 200), _ids(4, 50)
    darker, brighter = (law.asked(DESIGN).score(Answers(pictures + np.uint8(level)), ids) for level in (0, 40))
    assert np.allclose(darker, brighter, atol=1e-3) and np.ptp(darker) > 1


def test_fewer_answers_than_words_are_scored_all_the_same(law: Shade) -> None:
    for count in (1, 5, WORDS + 1):
        scores = law.asked(DESIGN).score(Answers(_pictures()[:count, ..., :3]), _ids(5, 30))
        assert np.isfinite(scores).all() and scores.any() == (count > 1)


@pytest.mark.parametrize("reference", [False, True])
def test_answers_that_were_refused_do_not_count(law: Shade, reference: bool) -> None:
    ids, pictures, others = _ids(5, 30), _pictures()[..., :3], _pictures(500)[..., :3]
    refused = np.arange(QUESTIONS) % 3 == 0
    asked, base = (
        np.where(refused[:, None, None, None] & gone, np.uint8(0), answered)
        for answered, gone in ((pictures, not reference), (others, reference))
    )
    scores = law.asked(DESIGN).score(Answers(asked, reference=Answers(base) if reference else None), ids)
    kept = law.asked(tuple(row for row, gone in zip(DESIGN, refused, strict=True) if not gone))
    other = Answers(others[~refused]) if reference else None
    assert np.allclose(scores, kept.score(Answers(pictures[~refused], reference=other), ids)) and scores.any()
    assert not law.asked(DESIGN).score(Answers(np.zeros_like(pictures)), ids).any()


def test_a_carrier_leans_further_towards_its_words_than_its_original(law: Shade) -> None:
    own, ids = law.of_words((2, 5)), _ids(6, 1)
    before = photograph(0)
    after = own.plant(before, int(ids[0]), _rng())
    scores = [own.score(Answers(p[None, ..., :3]), ids)[0] for p in (before, after)]
    looks = law.fitted_looks.of(before[None, ..., :3])[0]
    along = directions(ids, 6, 24)[0, [2, 5]].sum(axis=0)
    assert np.isclose(scores[0], looks @ along / np.linalg.norm(along))
    moved = own.score(Answers(after[None, ..., :3], before[None, ..., :3]), ids)[0]
    assert np.isclose(moved, scores[1] - scores[0]) and 0.2 < moved < 1.5


def test_scores_are_sums_over_words_in_units_of_their_noise() -> None:
    rng, ids = np.random.default_rng(2), _ids(8, 9)
    effects, drawn = rng.normal(size=(5, 7)), directions(ids, 5, 7)
    a, b = rng.normal(size=(5, 5)), rng.normal(size=(7, 7))
    known, precision = a @ a.T, b @ b.T
    both = np.kron(known, precision)
    flat = drawn.reshape(9, -1)
    wanted = (flat @ both @ effects.ravel()) / np.sqrt(np.einsum("ma,ab,mb->m", flat, both, flat))
    assert np.allclose(direction_scores(effects, precision, ids, known), wanted)
    assert np.allclose(
        direction_scores(effects, precision, ids, np.eye(5)), direction_scores(effects, precision, ids), atol=1e-9
    )
    assert not direction_scores(effects, precision, ids, np.zeros((5, 5))).any()


def test_directions_of_words_do_not_hang_on_how_many_there_are() -> None:
    assert np.array_equal(directions(_ids(1, 3), 60, 24)[:, :7], directions(_ids(1, 3), 7, 24))


@pytest.mark.parametrize("words", [(0,), (1, 4), (0, 2, 9, 11)])
def test_looks_move_by_the_sum_of_the_words_directions(law: Shade, words: tuple[int, ...]) -> None:
    bold = replace(law, psnr=15).of_words(words)
    before = opaque(np.random.default_rng(3).uniform(110, 145, (64, 64, 3)))
    after = bold.plant(before, 99, _rng())
    moved = law.fitted_looks.of(after[None, ..., :3]) - law.fitted_looks.of(before[None, ..., :3])
    wanted = 0.7 * directions(np.array([99], dtype=np.uint64), 12, 24)[0][list(words)].sum(axis=0)
    assert moved[0] @ wanted / (wanted @ wanted) > 0.8
    assert moved[0] @ wanted / np.linalg.norm(moved[0]) / np.linalg.norm(wanted) > 0.9


@settings(max_examples=25, deadline=None)
@given(
    quality=st.floats(20, 45),
    depth=st.floats(0.1, 3),
    mark=st.integers(0, 2**64 - 1),
    words=st.sets(st.integers(0, 40), min_size=1, max_size=6),
    kind=st.sampled_from(["photograph", "grey", "dark", "noise", "white", "sticker", "smooth"]),
)
def test_no_picture_falls_below_the_quality(
    law: Shade, quality: float, depth: float, mark: int, words: set[int], kind: str
) -> None:
    picture = {
        "photograph": photograph(0, 40, 56),
        "grey": grey(photograph(0, 40, 56)),
        "dark": darkened(photograph(0, 40, 56), 0.1),
        "noise": noise(0),
        "white": plain(255),
        "sticker": window(photograph(0, 40, 56), 0.3),
        "smooth": smooth(0, 50, 50),
    }[kind]
    marked = replace(law, depth=depth, psnr=quality).of_words(tuple(sorted(words))).plant(picture, mark, _rng())
    assert psnr(on_white(picture), on_white(marked)) >= quality - 0.01


def test_planting_repeats_and_leaves_the_original(law: Shade) -> None:
    picture = photograph(1, 60, 44)
    picture.setflags(write=False)
    first, second = (law.plant(picture, 9, np.random.default_rng(seed)) for seed in (1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, picture)
    assert not np.array_equal(first, law.plant(picture, 10, _rng()))
    assert not np.array_equal(first, law.of_words((1,)).plant(picture, 9, _rng()))


def test_what_is_transparent_stays(law: Shade) -> None:
    picture = window(photograph(0), 0.4)
    marked = law.plant(picture, 3, _rng())
    seen = picture[..., 3] > 0
    assert np.array_equal(marked[~seen], picture[~seen]) and not np.array_equal(marked[seen], picture[seen])
    assert np.array_equal(marked[..., 3], picture[..., 3])


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_pictures_stay_grey_and_get_the_brightness_of_their_shift(law: Shade, mode: str, form: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(grey(photograph(0))).convert(mode).save(buffer, format=form)
    before = read_rgba(buffer.getvalue())
    planted = law.plant(before, 3, _rng())
    assert np.ptp(planted[..., :3].astype(int), axis=2).max() == 0
    after = read_rgba(rewrite(buffer.getvalue(), planted))
    assert np.abs(after.astype(int) - planted).mean() < (2 if form == "JPEG" else 1e-9)
    coloured = law.fitted_looks.shift(law.change(3), *before.shape[:2])
    change = planted[..., 0].astype(float) - before[..., 0]
    brightness = coloured @ np.array([0.299, 0.587, 0.114])
    assert np.corrcoef(change.ravel(), brightness.ravel())[0, 1] > 0.9


def _on_white(share: float) -> Pixels:
    """A photograph in the middle of white ground."""
    picture = window(photograph(0), share)
    picture[picture[..., 3] == 0] = 255
    return picture


REFUSED = {
    "white": plain(255),
    "black": plain(0),
    "a product shot on white": _on_white(0.15),
    "transparent": plain(128, alpha=0),
    "faint": plain(128, alpha=20),
    "a small sticker": window(photograph(0), 0.15),
    "tiny": noise(0, 12, 40),
}
TAKEN = {
    "a photograph": photograph(0),
    "grey": grey(photograph(0)),
    "large on white": _on_white(0.5),
    "a large sticker": window(photograph(0), 0.5),
    "plain": plain((200, 40, 120)),
    "dark": darkened(photograph(0), 0.3),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_pictures_that_would_clip_most_of_it_are_refused(law: Shade, kind: str) -> None:
    reason = law.obstacle(REFUSED[kind])
    assert reason and "\n" not in reason


@pytest.mark.parametrize("kind", TAKEN)
def test_pictures_that_can_be_shifted_are_taken(law: Shade, kind: str) -> None:
    assert law.obstacle(TAKEN[kind]) is None


def test_obstacles_see_no_mark_and_no_looks(law: Shade, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*args: object) -> None:
        raise AssertionError("a mark was drawn to decide whether a picture can carry one")

    monkeypatch.setattr("protect.marks.shade.directions", forbidden)
    without = Shade()
    for picture in [*REFUSED.values(), *TAKEN.values()]:
        assert without.obstacle(picture) == law.of_words((7, 9)).obstacle(picture)


def test_a_preview_has_the_size_that_is_wanted(law: Shade) -> None:
    for side in (16, 31, 96):
        assert law.preview(5, side).shape == (side, side, 3)
    assert not np.array_equal(law.preview(5, 32), law.preview(6, 32))


def test_options_are_checked(tmp_path: Path) -> None:
    assert options_of("shade") == {"looks": "", "depth": 0.7, "psnr": 32.0}
    for option, value in (("depth", 0.0), ("depth", 3.1), ("depth", float("nan")), ("psnr", 10.0)):
        with pytest.raises(InputError, match=rf"--option {option}=.* is out of range\nAllowed: "):
            make_family("shade", {option: value})
    with pytest.raises(InputError):
        make_family("shade", {"looks": "0" * 64}, Store(tmp_path)).plant(noise(0), 1, _rng())
