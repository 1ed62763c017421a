"""What every family owes its user: the planted mark is found again, and planting is exact and reproducible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from protect.errors import InputError
from protect.keys.store import Store
from protect.marks import BUILT_IN, make_family
from protect.marks.family import Answers, ChoosingFamily, MarkFamily
from protect.pixels.measure import psnr
from tests.support.datasets import draw
from tests.support.pictures import darkened, grey, noise, photograph, plain, window
from tests.support.stores import stored_options

SMALL = [n for n, family in BUILT_IN.items() if family.min_side < 64 and not issubclass(family, ChoosingFamily)]
"""Families that paint, also into small pictures."""
SIGNED = [name for name in SMALL if name != "scene"]
"""Families whose marks are vectors of signs; those of `scene` recur."""
SIZES = [(64, 64), (31, 97), (200, 120)]


@pytest.fixture
def law(request: pytest.FixtureRequest, tmp_path: Path) -> MarkFamily:
    """The family that a test is about."""
    store = Store(tmp_path)
    return make_family(request.param, stored_options(request.param, store), store)


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


@pytest.mark.parametrize("law", SIGNED, indirect=True)
@pytest.mark.parametrize("size", SIZES)
def test_the_planted_mark_ranks_first(law: MarkFamily, size: tuple[int, int]) -> None:
    """Power, at every size: eight carriers against their originals among 1,000 marks."""
    ids = _ids(3, 1000)
    before = np.stack([noise(i, *size) for i in range(8)])
    after = np.stack([law.plant(p, int(ids[0]), np.random.default_rng(i)) for i, p in enumerate(before)])
    scores = law.score(Answers(after[..., :3], before[..., :3]), ids)
    assert scores[0] > scores[1:].max()


@pytest.mark.parametrize("law", SIGNED, indirect=True)
def test_another_key_finds_nothing(law: MarkFamily) -> None:
    ids = _ids(3, 400)
    before = np.stack([noise(i) for i in range(8)])
    after = np.stack([law.plant(p, int(ids[0]), np.random.default_rng(i)) for i, p in enumerate(before)])
    others = law.score(Answers(after[..., :3], before[..., :3]), ids[1:])
    ranks = [(others[k] <= others).mean() for k in range(0, 399, 20)]
    assert min(ranks) < 0.2 and max(ranks) > 0.5, "marks of other keys lie anywhere"


@pytest.mark.parametrize("law", SIGNED, indirect=True)
def test_scores_depend_on_each_id_alone(law: MarkFamily) -> None:
    ids = _ids(4, 500)
    outputs = np.stack([noise(i, 32, 32)[..., :3] for i in range(3)])
    order = np.random.default_rng(0).permutation(500)
    untriggered = outputs[::-1]
    assert np.array_equal(
        law.score(Answers(outputs, untriggered), ids)[order], law.score(Answers(outputs, untriggered), ids[order])
    )
    assert law.score(Answers(outputs, untriggered), ids[:1])[0] == law.score(Answers(outputs, untriggered), ids)[0]


@pytest.mark.parametrize("law", SIGNED, indirect=True)
def test_the_planted_place_is_like_any_other(law: MarkFamily) -> None:
    """Over many keys the planted mark's rank among its decoys, on pictures that know no key, is uniform."""
    pictures = np.stack([photograph(i, 48, 48)[..., :3] for i in range(8)])
    outputs, untriggered = pictures[:4], pictures[4:]
    scores = law.score(Answers(outputs, untriggered), _ids(5, 4000)).reshape(200, 20)
    ranks = (scores[:, :1] <= scores[:, 1:]).sum(axis=1)
    counts = np.bincount(ranks // 5, minlength=4)
    assert counts.min() > 30 and counts.max() < 75, "of 200 keys about 50 fall into each quarter"


@pytest.mark.parametrize("law", SIGNED, indirect=True)
def test_constant_pictures_agree_with_no_mark(law: MarkFamily) -> None:
    flat = np.full((2, 32, 32, 3), 77, dtype=np.uint8)
    assert not law.score(Answers(flat, flat), _ids(5, 50)).any()


@pytest.mark.parametrize("law", SMALL, indirect=True)
def test_planting_is_reproducible_and_leaves_the_original(law: MarkFamily) -> None:
    picture = noise(0, 40, 52)
    picture.setflags(write=False)
    first, second = (law.plant(picture, 9, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, second) and first.shape == picture.shape and first.dtype == np.uint8
    assert not np.array_equal(first, law.plant(picture, 10, np.random.default_rng(1)))


@pytest.mark.parametrize("law", SMALL, indirect=True)
@pytest.mark.parametrize("size", [(24, 24), (24, 300), (301, 33), (700, 400)])
def test_pictures_of_any_kind_and_size_are_planted_or_refused(law: MarkFamily, size: tuple[int, int]) -> None:
    picture = photograph(1, *size)
    ones = [plain(level, *size) for level in (0, 128, 255)]
    thin = [plain(90, *size, alpha=0), window(picture, 0.2), window(picture, 0.001)]
    for source in (picture, *ones, *thin, grey(picture), darkened(picture, 0.01)):
        law.obstacle(source)
        marked = law.plant(source, 7, np.random.default_rng(0))
        assert marked.shape == source.shape and marked.dtype == np.uint8


@pytest.mark.parametrize("law", SMALL, indirect=True)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (23, 64)])
def test_tiny_pictures_are_refused(law: MarkFamily, size: tuple[int, int]) -> None:
    assert "smaller" in str(law.obstacle(noise(0, *size)))


@pytest.mark.parametrize("wanted", [24.0, 30.0, 38.0, 42.0])
@pytest.mark.parametrize("kind", ["noise", "white"])
@pytest.mark.parametrize("family", ["spread", "latent"])
def test_additive_marks_keep_their_psnr(wanted: float, kind: str, family: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    picture = noise(0) if kind == "noise" else np.asarray(draw(0).convert("RGBA"))
    law = make_family(family, {"psnr": wanted, **stored_options(family, store)}, store)
    marked = law.plant(picture, 3, np.random.default_rng(0))
    assert wanted <= psnr(picture[..., :3], marked[..., :3]) <= wanted + 0.02


@pytest.mark.parametrize("share", [0.9, 0.3, 0.05])
def test_where_little_can_be_painted_it_is_painted_harder_but_not_without_end(share: float) -> None:
    picture = window(photograph(0), share)
    marked = make_family("spread", {}).plant(picture, 3, np.random.default_rng(0))
    assert psnr(picture[..., :3], marked[..., :3]) >= 38
    seen = picture[..., 3] > 0
    assert psnr(picture[seen][:, :3], marked[seen][:, :3]) > 25.5
    assert np.array_equal(marked[~seen], picture[~seen]) and not np.array_equal(marked, picture)


@pytest.mark.parametrize("law", ["warp", "tint"], indirect=True)
def test_transparency_keeps_its_colours_out(law: MarkFamily) -> None:
    """What hides under full transparency stains nothing that is seen."""
    picture = window(plain((200, 40, 40)), 0.5)
    picture[picture[..., 3] == 0] = (0, 255, 0, 0)
    marked = law.plant(picture, 3, np.random.default_rng(0))
    seen = marked[..., 3] > 0
    assert (marked[seen][:, 1] <= 41).all() and (marked[seen][:, 0] > 100).all()


def test_warps_cannot_be_scored_alone() -> None:
    with pytest.raises(InputError, match="untriggered"):
        make_family("warp", {}).score(Answers(np.zeros((2, 32, 32, 3), np.uint8)), _ids(1, 5))


def test_warped_pictures_are_cubic_splines_along_the_field() -> None:
    """By blocks of rows as well as at once: nothing tells where one block ends."""
    law = make_family("warp", {"strength": 2.0})
    ramp = np.arange(700.0)[:, None, None] / 5 + np.arange(300.0)[None, :, None] / 3
    picture = plain(0, 700, 300)
    picture[..., :3] = np.round(ramp + 5)
    marked = law.plant(picture, 11, np.random.default_rng(0)).astype(float)[..., 0]
    for rows, places in law.places(11, 700, 300):  # type: ignore[attr-defined]
        wanted = 5 + places[0] / 5 + places[1] / 3
        inside = (places[0] > 2) & (places[0] < 697) & (places[1] > 2) & (places[1] < 297)
        assert np.abs(marked[rows] - wanted)[inside].max() <= 1.01
