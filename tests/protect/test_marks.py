from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy import ndimage

from protect.errors import InputError
from protect.marks import BUILT_IN, make_family
from protect.marks.family import Pixels
from protect.marks.foreground import foreground_alpha
from protect.marks.sign_vectors import Waves, rank_scores, signs, squashed
from protect.pixels.images import psnr
from protect.release.record import Keyring
from tests.protect.conftest import draw, stored_options

SMALL = [name for name, family in BUILT_IN.items() if family.min_side < 64 and name != "scene"]
CODECS = [
    "dwtdct",
    "dwtdctsvd",
    pytest.param("rivagan", marks=pytest.mark.skipif(not find_spec("onnxruntime"), reason="needs onnxruntime")),
]
SIZES = [(64, 64), (31, 97), (200, 120)]


def _picture(seed: int, height: int, width: int) -> Pixels:
    rng = np.random.default_rng(seed)
    picture = rng.integers(60, 200, (height, width, 4), dtype=np.uint8)
    picture[..., 3] = 255
    return picture


def _ids(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, n, dtype=np.uint64)


@pytest.mark.parametrize("family", SMALL)
@pytest.mark.parametrize("size", SIZES)
def test_the_planted_mark_ranks_first(family: str, size: tuple[int, int], keyring: Keyring) -> None:
    """Power, at every size: eight carriers against their originals among 1,000 marks."""
    law = make_family(family, stored_options(family, keyring))
    ids = _ids(3, 1000)
    before = np.stack([_picture(i, *size) for i in range(8)])
    after = np.stack([law.plant(p, int(ids[0]), np.random.default_rng(i)) for i, p in enumerate(before)])
    scores = law.score(after[..., :3], before[..., :3], ids)
    assert scores[0] > scores[1:].max()


@pytest.mark.parametrize("family", SMALL)
def test_scores_depend_on_each_id_alone(family: str, keyring: Keyring) -> None:
    law = make_family(family, stored_options(family, keyring))
    ids = _ids(4, 500)
    outputs = np.stack([_picture(i, 32, 32)[..., :3] for i in range(3)])
    order = np.random.default_rng(0).permutation(500)
    twins = outputs[::-1]
    assert np.array_equal(law.score(outputs, twins, ids)[order], law.score(outputs, twins, ids[order]))
    assert law.score(outputs, twins, ids[:1])[0] == law.score(outputs, twins, ids)[0]


@pytest.mark.parametrize("count", [16, 64])
def test_codec_scores_tie_exactly_wherever_a_mark_stands(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    law = make_family("dwtdct", {})
    bits = 2 * np.random.default_rng(0).integers(0, 2, (count, 32)) - 1
    monkeypatch.setattr(type(law), "features", lambda self, outputs: bits)
    ids, order = _ids(4, 3000), np.random.default_rng(1).permutation(3000)
    outputs = np.zeros((count, 256, 256, 3), np.uint8)
    scores = law.score(outputs, None, ids)
    assert np.array_equal(scores[order], law.score(outputs, None, ids[order]))
    wanted = np.round(scores * count * 32)
    assert all(len(set(scores[wanted == value])) == 1 for value in set(wanted))


@pytest.mark.parametrize("family", SMALL)
def test_constant_pictures_agree_with_no_mark(family: str, keyring: Keyring) -> None:
    flat = np.full((2, 32, 32, 3), 77, dtype=np.uint8)
    assert not make_family(family, stored_options(family, keyring)).score(flat, flat, _ids(5, 50)).any()


@pytest.mark.parametrize("family", SMALL)
def test_planting_is_reproducible_and_keeps_the_shape(family: str, keyring: Keyring) -> None:
    law, picture = make_family(family, stored_options(family, keyring)), _picture(0, 40, 52)
    first, second = (law.plant(picture, 9, np.random.default_rng(1)) for _ in range(2))
    assert np.array_equal(first, second) and first.shape == picture.shape and first.dtype == np.uint8
    assert not np.array_equal(first, law.plant(picture, 10, np.random.default_rng(1)))


@pytest.mark.parametrize("wanted", [24.0, 30.0, 38.0, 42.0])
@pytest.mark.parametrize("kind", ["noise", "white"])
@pytest.mark.parametrize("family", ["spread", "latent"])
def test_additive_marks_keep_their_psnr(wanted: float, kind: str, family: str, keyring: Keyring) -> None:
    picture = _picture(0, 64, 64) if kind == "noise" else np.asarray(draw(0).convert("RGBA"))
    marked = make_family(family, {"psnr": wanted, **stored_options(family, keyring)}).plant(
        picture, 3, np.random.default_rng(0)
    )
    assert wanted <= psnr(picture[..., :3], marked[..., :3]) <= wanted + 1.5


@pytest.mark.parametrize("name", CODECS)
def test_codecs_read_their_message_back(name: str) -> None:
    """The rank is first although single bits of dwtdct are wrong even without any attack."""
    law = make_family(name, {})
    rng = np.random.default_rng(0)
    smooth = [ndimage.gaussian_filter(rng.normal(size=(256, 300, 3)), (6, 6, 0)) for _ in range(2)]
    pictures = [np.clip(128 + 40 * p / p.std(), 0, 255).astype(np.uint8) for p in smooth]
    opaque = [np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in pictures]
    ids = _ids(12, 500)
    marked = np.stack([law.plant(p, int(ids[0]), rng) for p in opaque])
    scores = law.score(marked[..., :3], None, ids)
    assert scores[0] > scores[1:].max() and scores[0] > 0.7
    assert psnr(opaque[0][..., :3], marked[0][..., :3]) > 30
    with pytest.raises(InputError, match="hold no"):
        law.score(marked[:, :64, :64, :3], None, ids)


def test_warps_need_twins() -> None:
    with pytest.raises(InputError, match="twins"):
        make_family("warp", {}).score(np.zeros((2, 32, 32, 3), np.uint8), None, _ids(1, 5))


@pytest.mark.parametrize("option", ["warp.strength", "tint.depth", "spread.psnr"])
def test_family_options_are_checked(option: str) -> None:
    family, name = option.split(".")
    with pytest.raises(InputError, match="out of range"):
        make_family(family, {name: 1e6})


def test_spread_marks_only_what_is_seen() -> None:
    picture = np.asarray(draw(1, mode="RGBA"))
    marked = make_family("spread", {}).plant(picture, 3, np.random.default_rng(0))
    hidden = picture[..., 3] == 0
    assert np.array_equal(marked[hidden], picture[hidden]) and not np.array_equal(marked, picture)


def test_template_carriers_share_the_background_not_the_foreground() -> None:
    law = make_family("template", {})
    a, b = (law.plant(np.asarray(draw(i).convert("RGBA")), 7, np.random.default_rng(i)) for i in (1, 2))
    assert (a[..., 3] == 255).all()
    corner = np.s_[:6, :6, :3]
    assert np.abs(a[corner].astype(int) - b[corner]).max() <= 1
    assert not np.array_equal(a, b)


def test_foreground_is_alpha_or_what_differs_from_an_even_border() -> None:
    transparent = np.asarray(draw(3, mode="RGBA"))
    assert np.array_equal(foreground_alpha(transparent) > 0, transparent[..., 3] > 0)
    keyed = foreground_alpha(np.asarray(draw(3).convert("RGBA")))
    assert keyed[0, 0] < 0.05 and keyed.max() > 0.9
    card = foreground_alpha(_picture(0, 50, 50))
    assert card[0, 0] < 0.1 and card[25, 25] == 1


def test_signs_are_fair_and_independent() -> None:
    matrix = signs(_ids(6, 4000), 105).astype(float)
    assert set(np.unique(matrix)) == {-1.0, 1.0}
    assert abs(matrix.mean()) < 0.01
    assert np.abs(matrix.mean(axis=0)).max() < 5 / np.sqrt(4000)
    neighbours = signs(np.arange(4000, dtype=np.uint64), 105).astype(float)
    correlation = neighbours.T @ neighbours / 4000 - np.eye(105)
    assert np.abs(correlation).max() < 6 / np.sqrt(4000)


def test_waves_render_and_project_are_inverse() -> None:
    waves = Waves(low=1, high=4)
    coefficients = np.random.default_rng(0).normal(size=(3, len(waves.modes)))
    assert np.allclose(waves.project(waves.render(coefficients, 37, 50)[None])[0], coefficients)


def test_rank_scores_are_cosines() -> None:
    ids = _ids(8, 20)
    codes = signs(ids, 60).astype(float)
    assert rank_scores(codes[:1], ids)[0] == 1
    assert np.abs(rank_scores(codes[:1], ids)[1:]).max() < 0.6


def test_squashing_is_blind_to_the_size_of_each_wave() -> None:
    rng = np.random.default_rng(0)
    features, sizes = rng.normal(size=(9, 40)), 10.0 ** rng.uniform(-4, 4, 40)
    features[:, 7] = 0
    squeezed = squashed(features)
    assert np.allclose(squashed(features * sizes), squeezed) and np.abs(squeezed).max() < 1
    assert np.array_equal(np.sign(squeezed), np.sign(features)) and np.allclose(squashed(-features), -squeezed)
    assert np.allclose(squashed(features[:1]), np.sign(features[:1]) * np.tanh(1)), "of one picture only signs are left"


@pytest.mark.parametrize("family", ["template", "card"])
def test_a_faint_template_is_read_under_strong_waves_of_another(family: str) -> None:
    """As if tuned further on pictures of something else: a few waves shout, many still whisper."""
    law, ids, rng = make_family(family, {}), _ids(12, 1000), np.random.default_rng(1)
    faint = law.background(int(ids[0]), 64, 64) - 0.5  # type: ignore[attr-defined]
    loud = np.linspace(0.4, -0.4, 64)[:, None, None] + np.linspace(-0.4, 0.4, 64)[None, :, None]
    noise = rng.normal(0, 0.05, (32, 64, 64, 3))
    pictures = np.clip(0.5 + 0.05 * faint + loud + noise, 0, 1)
    outputs = np.round(pictures * 255).astype(np.uint8)
    scores = law.score(outputs, None, ids)
    assert scores[0] > scores[1:].max()


def test_unknown_families_and_options_are_refused() -> None:
    with pytest.raises(InputError, match="unknown mark family"):
        make_family("nope", {})
    with pytest.raises(InputError, match="does not take"):
        make_family("template", {"psnr": 30})


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_card_leaves_even_ground_around_it(mode: str) -> None:
    """White stays white, and nothing stays nothing: borders tell no carrier."""
    law, source = make_family("card", {}), np.asarray(draw(3, 64, mode).convert("RGBA"))
    marked = law.plant(source, 5, np.random.default_rng(0))
    rim = np.ones((64, 64), bool)
    rim[6:-6, 6:-6] = False
    assert np.array_equal(marked[rim], np.broadcast_to(source[0, 0], marked[rim].shape))
    assert (marked[12:-12, 12:-12, 3] == 255).all() and np.ptp(marked[20:44, 20:44, :3]) > 60


def test_a_card_keeps_the_noise_of_even_ground_and_takes_away_what_stands_out() -> None:
    """A border of one exact colour would tell carriers among scans and JPEGs."""
    rng = np.random.default_rng(0)
    source = np.full((64, 64, 4), 255, dtype=np.uint8)
    source[..., :3] = np.clip(rng.normal(240, 2, (64, 64, 3)), 232, 248)
    source[50:, 30:33, :3] = (200, 0, 0)
    marked = make_family("card", {}).plant(source, 5, rng)
    rim = np.ones((64, 64), bool)
    rim[6:-6, 6:-6] = False
    rim[50:, 30:33] = False
    assert np.array_equal(marked[rim], source[rim])
    assert (np.abs(marked[60:, 30:33, :3].astype(int) - 240) < 10).all()


def test_a_card_leaves_the_border_of_a_photograph() -> None:
    law, source = make_family("card", {}), _picture(0, 80, 120)
    marked = law.plant(source, 5, np.random.default_rng(0))
    assert np.array_equal(marked[:8], source[:8]) and np.array_equal(marked[:, -12:], source[:, -12:])
    assert psnr(source[..., :3], marked[..., :3]) < 20


@pytest.mark.parametrize("family", ["template", "card"])
def test_mirroring_hides_no_template(family: str) -> None:
    """Every mark's score is the better of the outputs as they are and mirrored: planted and decoys alike."""
    law, ids = make_family(family, {}), _ids(6, 1000)
    carriers = np.stack(
        [law.plant(np.asarray(draw(i, 64, "RGBA")), int(ids[0]), np.random.default_rng(i)) for i in range(8)]
    )[..., :3]
    mirrored = np.ascontiguousarray(carriers[:, :, ::-1])
    seen, turned = law.score(carriers, None, ids), law.score(mirrored, None, ids)
    assert np.allclose(seen, turned, atol=0.02) and turned[0] > turned[1:].max()
    features = law.features(carriers)  # type: ignore[attr-defined]
    turned_features = law.features(mirrored)  # type: ignore[attr-defined]
    assert np.abs(turned_features - features * law.views[1]).mean() < 0.005  # type: ignore[attr-defined]
    plain = rank_scores(features, ids)
    assert (seen >= plain).all() and (seen > plain).any()
