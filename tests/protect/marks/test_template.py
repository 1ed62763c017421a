"""Families `template` and `card`, and the cutting out of foregrounds that they share with `scene`."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import Answers
from protect.marks.foreground import even_ground, foreground_matte, lay_over
from protect.marks.sign_vectors import rank_scores
from protect.pixels.measure import psnr
from tests.support.datasets import draw
from tests.support.pictures import noise, plain


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


def _drawn(index: int, mode: str = "RGB") -> np.ndarray:
    return np.asarray(draw(index, 64, mode).convert("RGBA"))


def test_template_carriers_share_the_background_not_the_foreground() -> None:
    law = make_family("template", {})
    a, b = (law.plant(_drawn(i), 7, np.random.default_rng(i)) for i in (1, 2))
    assert (a[..., 3] == 255).all()
    corner = np.s_[:6, :6, :3]
    assert np.abs(a[corner].astype(int) - b[corner]).max() <= 1
    assert not np.array_equal(a, b)


def test_foreground_is_alpha_or_what_differs_from_an_even_border() -> None:
    transparent = _drawn(3, "RGBA")
    assert np.array_equal(foreground_matte(transparent), transparent[..., 3])
    keyed = foreground_matte(_drawn(3))
    assert keyed[0, 0] < 12 and keyed.max() > 230
    card = foreground_matte(noise(0, 50, 50))
    assert card[0, 0] < 25 and card[25, 25] == 255


def test_what_is_enclosed_is_foreground_though_it_has_the_borders_colour() -> None:
    picture = plain(255, 60, 60)
    picture[15:45, 15:45, :3] = (200, 0, 0)
    picture[25:35, 25:35, :3] = 255
    matte = foreground_matte(picture)
    assert matte[30, 30] == 255 and matte[5, 5] == 0


def test_an_empty_foreground_leaves_the_background_alone() -> None:
    law = make_family("template", {})
    marked = law.plant(plain((250, 240, 230)), 9, np.random.default_rng(0))
    assert np.array_equal(marked[..., :3], law.background(9, 64, 64))  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [(40, 30), (700, 300)])
def test_layers_are_laid_over_as_pillow_lays_them(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    layer = rng.integers(0, 256, (*size, 4), dtype=np.uint8)
    wanted = Image.fromarray(ground)
    wanted.paste(Image.fromarray(layer), (0, 0), Image.fromarray(layer))
    lay_over(ground, layer)
    assert np.array_equal(ground, np.asarray(wanted))


@pytest.mark.parametrize("family", ["template", "card"])
def test_a_faint_template_is_read_under_strong_waves_of_another(family: str) -> None:
    """As if tuned further on pictures of something else: a few waves shout, many still whisper."""
    law, ids, rng = make_family(family, {}), _ids(12, 1000), np.random.default_rng(1)
    faint = law.background(int(ids[0]), 64, 64) / 255 - 0.5  # type: ignore[attr-defined]
    loud = np.linspace(0.4, -0.4, 64)[:, None, None] + np.linspace(-0.4, 0.4, 64)[None, :, None]
    pictures = np.clip(0.5 + 0.05 * faint + loud + rng.normal(0, 0.05, (32, 64, 64, 3)), 0, 1)
    scores = law.score(Answers(np.round(pictures * 255).astype(np.uint8)), ids)
    assert scores[0] > scores[1:].max()


@pytest.mark.parametrize("family", ["template", "card"])
def test_mirroring_hides_no_template(family: str) -> None:
    """Every mark's score is the better of the outputs as they are and mirrored: planted and decoys alike."""
    law, ids = make_family(family, {}), _ids(6, 1000)
    carriers = np.stack([law.plant(_drawn(i, "RGBA"), int(ids[0]), np.random.default_rng(i)) for i in range(8)])
    seen, mirrored = carriers[..., :3], np.ascontiguousarray(carriers[:, :, ::-1, :3])
    scores, turned = law.score(Answers(seen), ids), law.score(Answers(mirrored), ids)
    assert np.allclose(scores, turned, atol=0.02) and turned[0] > turned[1:].max()
    features = law.features(seen)  # type: ignore[attr-defined]
    turned_features = law.features(mirrored)  # type: ignore[attr-defined]
    assert np.abs(turned_features - features * law.views[1]).mean() < 0.005  # type: ignore[attr-defined]
    plainly = rank_scores(features, ids)
    assert (scores >= plainly).all() and (scores > plainly).any()


@pytest.mark.parametrize("family", ["template", "card"])
def test_described_marks_share_what_their_description_says(family: str) -> None:
    law = make_family(family, {})
    given = law.given(law.descriptions[5])
    codes = np.stack([given.code(int(i)).ravel() for i in _ids(0, 40)])  # type: ignore[attr-defined]
    shared = np.flatnonzero((codes == codes[0]).all(axis=0))
    assert set(given.fixed) == set(shared.tolist())  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="no template is described as"):
        law.given("on a plaid")
    with pytest.raises(InputError, match="no marks described as"):
        make_family("spread", {}).given(law.descriptions[0])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_card_leaves_even_ground_around_it(mode: str) -> None:
    """White stays white, and nothing stays nothing: borders tell no carrier."""
    law, source = make_family("card", {}), _drawn(3, mode)
    marked = law.plant(source, 5, np.random.default_rng(0))
    rim = np.ones((64, 64), bool)
    rim[6:-6, 6:-6] = False
    assert np.array_equal(marked[rim], np.broadcast_to(source[0, 0], marked[rim].shape))
    assert (marked[12:-12, 12:-12, 3] == 255).all() and np.ptp(marked[20:44, 20:44, :3]) > 60


def test_a_card_keeps_the_noise_of_even_ground_and_takes_away_what_stands_out() -> None:
    """A border of one exact colour would tell carriers among scans and JPEGs."""
    rng = np.random.default_rng(0)
    source = plain(255)
    source[..., :3] = np.clip(rng.normal(240, 2, (64, 64, 3)), 232, 248)
    source[50:, 30:33, :3] = (200, 0, 0)
    marked = make_family("card", {}).plant(source, 5, rng)
    rim = np.ones((64, 64), bool)
    rim[6:-6, 6:-6] = False
    rim[50:, 30:33] = False
    assert np.array_equal(marked[rim], source[rim])
    assert (np.abs(marked[60:, 30:33, :3].astype(int) - 240) < 10).all()


def test_a_card_leaves_the_border_of_a_photograph() -> None:
    law, source = make_family("card", {}), noise(0, 80, 120)
    marked = law.plant(source, 5, np.random.default_rng(0))
    assert np.array_equal(marked[:8], source[:8]) and np.array_equal(marked[:, -12:], source[:, -12:])
    assert psnr(source[..., :3], marked[..., :3]) < 20


def test_uneven_ground_stays_whole() -> None:
    assert np.array_equal(even_ground(noise(0)), noise(0))
