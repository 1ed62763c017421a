"""`protect check`: what it says must be able to be bad."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.check import check
from protect.check.exposure import near_duplicates, residual_auc
from protect.check.page import write_choices, write_page
from protect.check.survival import jpeg, resized, survival, vae_round_trip
from protect.errors import InputError
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.miniature import miniature_path
from tests.protect.conftest import draw, make_folder

SECRET = secret_from_seed(0, "check")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [np.asarray(draw(i)) for i in range(20)]


def test_check_reports_every_family_and_writes_a_page(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 12)
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    found = check(folder, ["template", "spread", "dwtdct"], {}, miniature_path(), SECRET, pictures=8)
    template, spread, codec = found
    assert all(s.rank_p <= 1e-3 for s in template.survivals) and template.verdict.startswith("survives all")
    assert spread.survivals[0].rank_p == 1e-4 and abs(spread.psnr - 38) < 1 and spread.ssim > 0.9 > template.ssim
    assert "cannot be used" in codec.verdict and "256" in codec.verdict
    write_page(tmp_path / "page.html", found, folder)
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png") == 36 and "cannot be used" in page and "VAE round trip" in page
    write_choices(tmp_path / "choices.html", found, SECRET)
    trials = json.loads(re.search(r"const trials = (.*);", (tmp_path / "choices.html").read_text()).group(1))
    assert len(trials) == 16 and {t["marked"] for t in trials} == {0, 1}
    assert all(t["pictures"][0] != t["pictures"][1] for t in trials)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    again = check(folder, ["spread"], {}, miniature_path(), SECRET, pictures=8)[0]
    assert again.survivals == spread.survivals


def test_a_codec_is_found_lost_in_the_vae(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for i in range(6):
        draw(i, size=256).save(folder / f"{i}.png")
        (folder / f"{i}.txt").write_text("a box")
    (found,) = check(folder, ["dwtdct"], {}, miniature_path(), SECRET, pictures=6)
    assert "VAE" in found.verdict or "does not read back" in found.verdict


def test_a_treatment_that_erases_the_mark_is_seen(pictures: list[np.ndarray]) -> None:
    law = make_family("spread", {})
    ids = np.random.default_rng(0).integers(0, 2**64, 500, dtype=np.uint64)
    opaque = [np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in pictures]
    marked = [law.plant(p, int(ids[0]), np.random.default_rng(0))[..., :3] for p in opaque]
    kept = survival(law, "none", lambda p: p, marked, pictures, ids)
    erased = survival(law, "grey", lambda p: np.full_like(p, 128), marked, pictures, ids)
    foreign = [survival(law, "foreign", lambda p: p, marked, pictures, np.roll(ids, k)).rank_p for k in range(1, 22)]
    assert kept.rank_p == 1 / 500 and erased.rank_p == 1 and np.median(foreign) > 0.1


@pytest.mark.parametrize("treat", [jpeg(50), resized(0.5), resized(0.001)])
def test_treatments_keep_the_size(treat: object, pictures: list[np.ndarray]) -> None:
    out = treat(pictures[0])  # type: ignore[operator]
    assert out.shape == pictures[0].shape and not np.array_equal(out, pictures[0])


def test_the_vae_takes_any_size() -> None:
    picture = np.asarray(draw(3, size=50))
    assert vae_round_trip(miniature_path())(picture).shape == (50, 50, 3)


def test_no_vae_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no VAE"):
        vae_round_trip(tmp_path)


def test_near_duplicates_are_counted(pictures: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    noise = [np.asarray(Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((64, 64))) for _ in range(6)]
    assert near_duplicates(noise) == 0
    assert near_duplicates([*noise, np.clip(noise[0] + 2.0, 0, 255).astype(np.uint8)]) == pytest.approx(2 / 7)


def test_the_residual_classifier_finds_noise_and_nothing_else(pictures: list[np.ndarray]) -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures]
    assert residual_auc(noisy, pictures) > 0.9
    once, twice = ([np.clip(p + rng.normal(0, 6, p.shape), 0, 255).astype(np.uint8) for p in pictures] for _ in "ab")
    assert 0.2 < residual_auc(once, twice) < 0.8


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 12)
    with pytest.raises(InputError, match="too few"):
        check(folder, ["template"], {}, miniature_path(), SECRET, pictures=2)
