"""The pages of `protect check`."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.check.page import AMPLIFIED, data_uri, difference, write_choices, write_page
from protect.check.result import Check, FamilyCheck, Look
from protect.check.survival import Survival
from protect.formats.record import SetAside
from protect.keys.tree import secret_from_seed
from tests.support.pictures import smooth

SECRET = secret_from_seed(0, "check")


def _looks(count: int, side: int = 60) -> tuple[Look, ...]:
    pictures = [smooth(i, side, side)[..., :3] for i in range(count)]
    return tuple(Look(p, np.clip(p + 3.0, 0, 255).astype(np.uint8)) for p in pictures)


def _found(side: int = 60) -> Check:
    kept, lost = Survival("none", 0.9, 0.3, 1e-4), Survival("JPEG 50", 0.1, 0.3, 0.4)
    good = FamilyCheck(
        "spread", 8, 2, "it is <b>grey</b>", survivals=(kept, lost), psnr=38.2, ssim=0.99, looks=_looks(8, side)
    )
    unfit = FamilyCheck("dwtdct", 0, 8, "64x64 is smaller than 256 pixels", unfit="0 picture(s) fit, 5 are needed")
    return Check((good, unfit), (SetAside("a<b>.png", "cannot be decoded"),))


@pytest.fixture
def page(tmp_path: Path) -> str:
    write_page(tmp_path / "page.html", _found(), "my <data>")
    return (tmp_path / "page.html").read_text()


def test_the_page_shows_pictures_figures_and_what_was_left_out(page: str) -> None:
    assert page.count("data:image/webp") == 3 * 4
    assert "survives all treatments but JPEG 50; hardly visible" in page and "38.2 dB" in page
    assert page.count('class="lost"') == page.count('class="kept"') == 1
    assert "cannot be used: 0 picture(s) fit" in page and "2 of 10 pictures looked at cannot carry its marks" in page
    assert "a&lt;b&gt;.png: cannot be decoded" in page and "it is &lt;b&gt;grey&lt;/b&gt;" in page
    assert "my &lt;data&gt;" in page and "<data>" not in page


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert (
        sources and all(s.startswith(("data:", "#")) for s in sources) and "http" not in re.sub('data:[^"]*', "", page)
    )


def test_pictures_are_at_least_320_pixels_wide(page: str) -> None:
    style = page.partition("</style>")[0]
    assert "minmax(min(100%, 320px), 1fr)" in style and "width: 100%" in style
    assert page.count('class="row small"') == 4, "small pictures are enlarged, pixel by pixel"


def test_large_pictures_are_not_enlarged_pixel_by_pixel(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", _found(side=400), "data")
    assert 'class="row small"' not in (tmp_path / "page.html").read_text()


def test_shown_pictures_lose_nothing() -> None:
    picture = smooth(1, 50, 70)[..., :3]
    data = base64.b64decode(data_uri(picture).partition(",")[2])
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), picture)


def test_differences_are_amplified_around_grey() -> None:
    black, bright = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 5, np.uint8)
    assert (difference(Look(black, bright)) == 128 + 5 * AMPLIFIED).all()
    assert (difference(Look(bright, black)) == 128 - 5 * AMPLIFIED).all()


def test_choices_hide_which_one_is_marked(tmp_path: Path) -> None:
    write_choices(tmp_path / "choices.html", _found(), SECRET)
    html = (tmp_path / "choices.html").read_text()
    trials = json.loads(re.search(r"const trials = (.*);", html).group(1))  # type: ignore[union-attr]
    assert len(trials) == 8 and {t["marked"] for t in trials} == {0, 1}
    looks = {data_uri(look.marked): data_uri(look.original) for look in _found().families[0].looks}
    assert all(looks[t["pictures"][t["marked"]]] == t["pictures"][1 - t["marked"]] for t in trials)
    write_choices(tmp_path / "again.html", _found(), SECRET)
    assert (tmp_path / "again.html").read_text() == html


@pytest.mark.parametrize(
    ("survivals", "ssim", "psnr", "duplicates", "verdict"),
    [
        ((("none", 0.5),), 1, 40, 0, "does not read back even from its own carriers: choose another family"),
        ((("none", 1e-4), ("VAE round trip", 0.5)), 1, 40, 0, "lost in the VAE: a latent model cannot learn it"),
        ((("none", 1e-4),), 0.7, 40, 0, "survives all treatments; plainly visible"),
        ((("none", 1e-4),), 0.9, 30, 0, "survives all treatments; visible"),
        ((("none", 1e-4),), 0.9, 40, 0.2, "survives all treatments; hardly visible, carriers easily found"),
    ],
)
def test_verdicts_say_the_worst_first(
    survivals: tuple[tuple[str, float], ...], ssim: float, psnr: float, duplicates: float, verdict: str
) -> None:
    rows = tuple(Survival(name, 0.5, 0.4, p) for name, p in survivals)
    found = FamilyCheck("spread", 5, 0, "", survivals=rows, ssim=ssim, psnr=psnr, duplicates=duplicates)
    assert found.verdict.startswith(verdict)
