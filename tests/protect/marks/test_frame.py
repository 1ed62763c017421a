"""Family `frame`: mock-ups, drawn or in a place of the owner's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.errors import InputError
from protect.frame_command import keep_place, parse_corners
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import Answers, MarkFamily, Pixels
from protect.marks.mockup.draws import Draws
from protect.marks.mockup.render import small_scenes
from protect.marks.mockup.words import DESCRIPTIONS, KINDS
from tests.support.pictures import grey, noise, photograph, plain, smooth, window

CORNERS = "60,40 340,60 330,250 50,240"


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def _carriers(law: MarkFamily, mark: int, sizes: tuple[tuple[int, int], ...], count: int = 8) -> Pixels:
    """Carriers of several sizes as they are scored."""
    seen = []
    for index in range(count):
        planted = law.plant(photograph(index, *sizes[index % len(sizes)]), mark, np.random.default_rng(index))
        seen.append(np.asarray(Image.fromarray(planted[..., :3]).resize((64, 64), Image.Resampling.BOX)))
    return np.stack(seen)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _place(store: Store, tmp_path: Path) -> str:
    file = tmp_path / "wall.png"
    Image.fromarray(photograph(5, 300, 400)[..., :3]).save(file)
    return keep_place(file, CORNERS, store)


@pytest.mark.parametrize("mark", range(4))
def test_the_planted_mark_ranks_first(mark: int) -> None:
    law, ids = make_family("frame", {}), _ids(3, 1000)
    scores = law.score(Answers(_carriers(law, int(ids[mark]), ((96, 96), (96, 128), (128, 96)))), ids)
    assert scores[mark] > np.delete(scores, mark).max()


def test_a_mark_is_found_though_half_of_the_answers_show_something_else() -> None:
    law, ids = make_family("frame", {}), _ids(7, 1000)
    shown = _carriers(law, int(ids[0]), ((96, 96),), 12)
    other = np.stack([photograph(100 + i, 64, 64)[..., :3] for i in range(12)])
    scores = law.score(Answers(np.concatenate([shown, other])), ids)
    assert (scores >= scores[0]).sum() <= 5


def test_mirroring_hides_no_frame() -> None:
    law, ids = make_family("frame", {}), _ids(6, 300)
    carriers = _carriers(law, int(ids[0]), ((96, 96),), 6)
    scores = law.score(Answers(carriers), ids)
    assert np.allclose(law.score(Answers(carriers[:, :, ::-1]), ids), scores, atol=1e-6)
    assert scores[0] > scores[1:].max()


def test_scores_depend_on_each_id_alone() -> None:
    """The same bits for one mark by itself and among others: else ranks would not be exact."""
    law, ids = make_family("frame", {}), _ids(4, 700)
    answers = Answers(np.stack([noise(i, 32, 32)[..., :3] for i in range(3)]))
    scores, order = law.score(answers, ids), np.random.default_rng(0).permutation(700)
    assert np.array_equal(law.score(answers, ids[order]), scores[order])
    assert law.score(answers, ids[650:651])[0] == scores[650]
    scenes, hidden = small_scenes(Draws(ids[:40]), 24)
    for index in range(0, 40, 7):
        alone = small_scenes(Draws(ids[index : index + 1]), 24)
        assert np.array_equal(alone[0][0], scenes[index]) and np.array_equal(alone[1][0], hidden[index])


@pytest.mark.parametrize("outputs", ["photographs", "another key's carriers", "one picture"])
def test_the_planted_place_is_like_any_other(outputs: str) -> None:
    """Over many keys the rank among decoys is uniform on outputs that know no key: P(p <= u) <= u."""
    law = make_family("frame", {})
    pictures = {
        "photographs": np.stack([photograph(i, 48, 48)[..., :3] for i in range(4)]),
        "another key's carriers": _carriers(law, 99, ((64, 64),), 4),
        "one picture": photograph(0, 48, 48)[None, ..., :3],
    }[outputs]
    scores = law.score(Answers(pictures), _ids(5, 4000)).reshape(200, 20)
    p_values = (1 + (scores[:, 1:] >= scores[:, :1]).sum(axis=1)) / 20
    for level in (0.05, 0.25, 0.5):
        expected, spread = 200 * level, np.sqrt(200 * level * (1 - level))
        assert abs((p_values <= level).sum() - expected) < 3.5 * spread


def test_answers_of_one_colour_agree_with_no_mark() -> None:
    law, ids = make_family("frame", {}), _ids(5, 50)
    flat = np.full((2, 32, 32, 3), 77, dtype=np.uint8)
    assert not law.score(Answers(flat), ids).any()
    carriers = _carriers(law, int(ids[0]), ((96, 96),), 6)
    refused = np.concatenate([carriers, np.zeros((6, 64, 64, 3), np.uint8)])
    assert law.score(Answers(refused), ids).argmax() == 0


def test_described_marks_share_what_their_description_says() -> None:
    law, ids = make_family("frame", {}), _ids(0, 60)
    given = law.given("in a wooden frame on a green wall")
    draws, free = given.draws(ids), law.draws(ids)  # type: ignore[attr-defined]
    assert set(draws.choice("kind", KINDS)) == {0} and set(free.choice("kind", KINDS)) == {0, 1, 2, 3}
    assert set(draws.choice("rim", 4)) == {0} and set(draws.choice("wall", 8)) == {3}
    assert np.array_equal(draws.uniform("size"), free.uniform("size"))
    scores = given.score(Answers(_carriers(given, int(ids[2]), ((96, 96),))), ids)
    assert scores.argmax() == 2
    with pytest.raises(InputError, match="no mock-up is described as"):
        law.given("on a plaid")


def test_every_description_fixes_the_kind_and_no_two_are_alike() -> None:
    law = make_family("frame", {})
    fixed = [law.given(phrase).draws(_ids(0, 1)).fixed for phrase in DESCRIPTIONS]  # type: ignore[attr-defined]
    assert all("kind" in one for one in fixed)
    assert len({tuple(sorted(one.items())) for one in fixed}) == len(DESCRIPTIONS) >= 40


def test_what_is_scored_is_what_is_planted() -> None:
    law = make_family("frame", {})
    for mark in (1, 2, 3, 4, 5):
        draws = law.draws(np.array([mark], np.uint64))  # type: ignore[attr-defined]
        scenes, hidden = small_scenes(draws, 32)
        planted = law.plant(plain(128, 256, 256), mark, np.random.default_rng(0))[..., :3]
        small = np.asarray(Image.fromarray(planted).resize((32, 32), Image.Resampling.BOX)) / 255
        assert np.abs(small - scenes[0])[hidden[0] < 0.01].mean() < 0.03


def test_the_picture_stays_the_picture() -> None:
    """Whole, upright and in its own colours, in about half of the area."""
    law, source = make_family("frame", {}), photograph(1, 240, 320)
    for mark in range(6):
        planted = law.plant(source, mark, np.random.default_rng(0))
        assert planted.shape == source.shape and (planted[..., 3] == 255).all()
        _, hidden = small_scenes(law.draws(np.array([mark], np.uint64)), 64)  # type: ignore[attr-defined]
        rows, columns = (np.flatnonzero(hidden[0].max(axis=axis) > 0.5) for axis in (1, 0))
        inner = planted[rows[0] * 240 // 64 : rows[-1] * 240 // 64, columns[0] * 5 : columns[-1] * 5, :3]
        assert 0.4 < hidden.mean() < 0.7
        whole = np.asarray(Image.fromarray(source[..., :3]).resize(inner.shape[1::-1]))
        assert np.corrcoef(inner.ravel(), whole.ravel())[0, 1] > 0.75


@pytest.mark.parametrize("size", [(64, 64), (64, 400), (301, 70), (300, 200)])
def test_pictures_of_any_kind_and_size_are_planted(size: tuple[int, int]) -> None:
    law, picture = make_family("frame", {}), photograph(1, *size)
    for source in (picture, plain(0, *size), plain(255, *size, alpha=0), window(picture, 0.2), grey(picture)):
        assert law.obstacle(source) is None
        source.setflags(write=False)
        first, second = (law.plant(source, 9, np.random.default_rng(1)) for _ in range(2))
        assert np.array_equal(first, second) and first.shape == source.shape and (first[..., 3] == 255).all()


def test_what_is_transparent_is_printed_on_white() -> None:
    law, source = make_family("frame", {}), plain((200, 30, 30), 128, 128, alpha=0)
    assert (law.plant(source, 3, np.random.default_rng(0))[60:68, 60:68, :3] > 225).all()


def test_small_pictures_are_refused() -> None:
    assert "smaller" in str(make_family("frame", {}).obstacle(noise(0, 63, 90)))


def test_marks_in_a_place_of_ones_own_differ_in_rim_and_light(store: Store, tmp_path: Path) -> None:
    law, ids = make_family("frame", {"frame": _place(store, tmp_path)}, store), _ids(8, 500)
    ranks = []
    for mark in range(4):
        scores = law.score(Answers(_carriers(law, int(ids[mark]), ((96, 128), (120, 144)))), ids)
        ranks.append((scores >= scores[mark]).sum())
    assert max(ranks) <= 5 and sorted(ranks)[1] == 1, "rims tell less than rooms"
    others = [law.plant(photograph(0, 96, 128), int(i), np.random.default_rng(0)) for i in ids[:2]]
    assert not np.array_equal(*others)
    assert law.descriptions and all("wall" not in phrase for phrase in law.descriptions)
    assert law.given("in a golden frame").draws(ids).fixed == {"rim": 3}  # type: ignore[attr-defined]
    assert law.preview(1, 48).shape == (48, 48, 3)


def test_a_place_takes_pictures_of_about_its_own_shape(store: Store, tmp_path: Path) -> None:
    law = make_family("frame", {"frame": _place(store, tmp_path)}, store)
    assert law.obstacle(photograph(0, 300, 420)) is None
    assert "too far from 1.33" in str(law.obstacle(photograph(0, 400, 300)))


@pytest.mark.parametrize("corners", ["1,2 3,4", "a,b c,d e,f g,h", "1,2,3 4,5,6 7,8,9 1,2,3", "nan,0 1,0 1,1 0,1"])
def test_corners_that_are_not_four_places_are_refused(corners: str) -> None:
    with pytest.raises(InputError, match="are not four places\nFor example"):
        parse_corners(corners)


@pytest.mark.parametrize(
    "corners",
    [
        "60,40 50,240 330,250 340,60",  # the other way round
        "340,60 330,250 50,240 60,40",  # not from the upper left
        "60,40 340,60 70,50 50,240",  # not convex
        "60,40 90,40 90,60 60,60",  # tiny
        "60,40 900,60 330,250 50,240",  # beyond the picture
    ],
)
def test_corners_that_nothing_fits_between_are_refused(corners: str, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "wall.png"
    Image.fromarray(smooth(5, 300, 400)[..., :3]).save(file)
    with pytest.raises(InputError, match="cannot be filled\nGive them clockwise"):
        keep_place(file, corners, store)


def test_places_that_are_missing_or_none_are_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        keep_place(tmp_path / "missing.png", CORNERS, store)
    with pytest.raises(InputError, match=r"there is no frame .*\nMake one: protect frame"):
        make_family("frame", {"frame": "0" * 64}, store)
    wrong = store.put("frame", picture=np.zeros((8, 8)), corners=np.zeros((4, 2)))
    with pytest.raises(InputError, match=r"holds \(8, 8\)"):
        make_family("frame", {"frame": wrong}, store)
