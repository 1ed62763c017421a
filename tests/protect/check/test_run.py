"""`protect check`: what it says must be able to be bad."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from protect.check import Check, check
from protect.check import trial as trials
from protect.errors import InputError
from protect.formats.record import Record
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.marks.family import FamilyOptions, Pixels
from protect.marks.shade import Shade
from protect.miniature import miniature_path
from protect.pixels.measure import png_bytes
from protect.pixels.picture import PictureError
from tests.support.datasets import draw
from tests.support.leaning import varied_pictures
from tests.support.pictures import grey, smooth
from tests.support.stores import stored_options

SECRET = secret_from_seed(0, "check")


def _record(key: str, picture: Pixels | Callable[[], bytes]) -> Record:
    read = picture if callable(picture) else lambda: png_bytes(picture)
    return Record(key, {"text": "a box"}, read)


def _boxes(count: int, size: int = 64) -> list[Record]:
    return [_record(f"{i:03}.png", np.asarray(draw(i, size))) for i in range(count)]


def _broken() -> bytes:
    return b"\x89PNG\r\n\x1a\n and no more"


def _gone() -> bytes:
    raise OSError(5, "Input/output error")


def test_every_family_is_measured_every_way() -> None:
    found = check(_boxes(12), ["template", "spread", "dwtdct"], {}, miniature_path(), SECRET, pictures=8)
    template, spread, codec = found.families
    assert found.set_aside == () and template.tested == spread.tested == 8
    assert all(s.rank_p <= 1e-3 for s in template.survivals) and template.verdict.startswith("survives all")
    assert spread.survivals[0].rank_p == 1e-4 and abs(spread.psnr - 38) < 1 and spread.ssim > 0.9 > template.ssim
    assert "cannot be used" in codec.verdict and "256" in codec.verdict and codec.tested == 0 and codec.refused == 12
    assert [s.treatment for s in spread.survivals][-1] == "VAE round trip"
    assert len(spread.looks) == 8 and not np.array_equal(spread.looks[0].original, spread.looks[0].marked)


def test_the_same_secret_gives_the_same_figures_whatever_stands_beside() -> None:
    """Neither the order of the samples nor the other families change a result."""
    records = _boxes(12)
    first = check(records, ["spread"], {}, miniature_path(), SECRET, pictures=6)
    again = check(records[::-1], ["tint", "spread"], {}, miniature_path(), SECRET, pictures=6)
    assert first.families[0].survivals == again.families[1].survivals
    other = check(records, ["spread"], {}, miniature_path(), secret_from_seed(1, "check"), pictures=6)
    assert other.families[0].survivals != first.families[0].survivals


def test_a_broken_picture_is_set_aside_and_the_check_goes_on() -> None:
    bad = [_record("broken.png", _broken), _record("gone.png", _gone)]
    found = check([*bad, *_boxes(10)], ["spread"], {}, miniature_path(), SECRET, pictures=12)
    assert found.families[0].tested == 10 and found.families[0].verdict.startswith("survives")
    reasons = {one.key: one.reason for one in found.set_aside}
    assert set(reasons) == {"broken.png", "gone.png"} and "Input/output error" in reasons["gone.png"]


def test_pictures_that_cannot_carry_are_counted_with_their_reason() -> None:
    grey_ones = [_record(f"grey {i}.png", grey(smooth(i, 64, 64))) for i in range(6)]
    found = check([*grey_ones, *_boxes(6)], ["template", "spread"], {}, miniature_path(), SECRET, pictures=12)
    template, spread = found.families
    assert (template.tested, template.refused) == (6, 6) and "grey" in template.refusal
    assert (spread.tested, spread.refused, spread.refusal) == (12, 0, "")
    (alone,) = check(grey_ones, ["template"], {}, miniature_path(), SECRET, pictures=5).families
    assert alone.verdict.startswith("cannot be used: 0 picture(s) fit, 5 are needed; of most others it is grey")


def test_nothing_to_test_is_said_and_not_scored() -> None:
    bad = [_record(f"{i}.png", _broken) for i in range(9)]
    for records in ([], bad):
        found = check(records, ["spread"], {}, miniature_path(), SECRET)
        assert found.families[0].unfit and not found.families[0].survivals
        assert len(found.set_aside) == len(records)


def test_progress_moves_with_every_picture_of_every_family() -> None:
    steps: list[tuple[str, int, int]] = []
    check(_boxes(9), ["spread", "tint"], {}, miniature_path(), SECRET, pictures=6, progress=lambda *s: steps.append(s))
    done = [step[1] for step in steps]
    assert done == sorted(done) and set(done) == set(range(13)) and {step[2] for step in steps} == {12}


def test_a_dataset_is_gone_through_once_and_few_pictures_are_read() -> None:
    reads: Counter[str] = Counter()

    def counted(i: int) -> Callable[[], bytes]:
        def read() -> bytes:
            reads[f"{i}"] += 1
            return png_bytes(np.asarray(draw(i)))

        return read

    def stream() -> Iterator[Record]:
        yield from (_record(f"{i}.png", counted(i)) for i in range(400))

    check(stream(), ["spread", "tint"], {}, miniature_path(), SECRET, pictures=5)
    assert reads.total() == 5 and max(reads.values()) == 1


def test_what_is_computed_of_an_original_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The VAE is the dearest part: once for each original, and once for each carrier."""
    treated: Counter[str] = Counter()

    def counting(name: str) -> Callable[[Pixels], Pixels]:
        def treat(picture: Pixels) -> Pixels:
            treated[name] += 1
            return picture

        return treat

    known = {"none": counting("none"), "VAE round trip": counting("VAE")}
    monkeypatch.setattr("protect.check.run.treatments", lambda vae: known)
    check(_boxes(5), ["spread", "tint", "template"], {}, miniature_path(), SECRET, pictures=5)
    assert treated["VAE"] == 5 + 3 * 5


def test_stored_arrays_come_from_the_store_that_is_passed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    options = {name: stored_options(name, store) for name in ("scene", "latent")}
    found = check(_boxes(6), ["scene", "latent"], options, miniature_path(), SECRET, store=store, pictures=5)
    assert all(one.survivals[0].rank_p < 0.05 for one in found.families)
    with pytest.raises(InputError, match="there is no pool"):
        check(_boxes(6), ["scene"], options, miniature_path(), SECRET, pictures=5)


def _varied(count: int = 210) -> list[Record]:
    return [_record(f"{i:03}.png", picture) for i, picture in enumerate(varied_pictures(count, 32))]


def _no_treatment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protect.check.run.treatments", lambda vae: {"none": lambda picture: picture})


def test_families_that_need_looks_are_tested_with_looks_measured_here(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_treatment(monkeypatch)
    options: dict[str, FamilyOptions] = {"lean": {"push": 2.0}}
    found = check(_varied(), ["shade", "lean"], options, miniature_path(), SECRET, pictures=9)
    shade, lean = found.families
    assert shade.survivals[0].rank_p == lean.survivals[0].rank_p == 1e-4
    assert shade.tested == lean.tested == 9 and shade.psnr > 31.9 and shade.looks
    assert not NO_STORE._held, "measured looks are kept no longer than the check"


def test_a_shade_that_is_not_painted_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_treatment(monkeypatch)
    monkeypatch.setattr(Shade, "plant", lambda self, picture, mark, rng: picture)
    (found,) = check(_varied(), ["shade"], {}, miniature_path(), SECRET, pictures=5).families
    assert "does not read back" in found.verdict


def test_a_push_needs_as_many_pairs_as_lean_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_treatment(monkeypatch)
    options: dict[str, FamilyOptions] = {"lean": {"push": 2.0}}
    (found,) = check(_varied(), ["lean"], options, miniature_path(), SECRET, pictures=8).families
    assert found.verdict == "cannot be used: 8 picture(s) fit, 9 are needed"


def test_what_changes_no_picture_needs_no_looks_and_no_check() -> None:
    (found,) = check(_boxes(6), ["lean"], {}, miniature_path(), SECRET, pictures=5).families
    assert not found.measured and found.verdict.startswith("nothing to check: it changes no picture")


def test_pictures_that_hardly_differ_have_no_looks() -> None:
    flat = [_record(f"{i}.png", np.full((32, 32, 3), 90, np.uint8)) for i in range(200)]
    for records, reason in ((flat, "the pictures differ in 0 direction"), (flat[:199], "199 picture.*200 are needed")):
        (found,) = check(records, ["shade"], {}, miniature_path(), SECRET, pictures=5).families
        assert re.match(f"cannot be used: {reason}", found.verdict)


def test_a_codec_is_found_lost_in_the_vae() -> None:
    records = [_record(f"{i}.png", smooth(i)) for i in range(5)]
    (found,) = check(records, ["dwtdctsvd"], {}, miniature_path(), SECRET, pictures=5).families
    assert found.survivals[0].rank_p == 1e-4 and "lost in the VAE" in found.verdict


def _as_jpeg(picture: Pixels, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).convert(mode).save(buffer, format="JPEG", quality=50)
    return buffer.getvalue()


def test_carriers_are_measured_as_they_would_be_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mark that JPEG files cannot hold is lost before anybody treats them, and grey files show no colour."""
    monkeypatch.setattr("protect.check.run.treatments", lambda vae: {"none": lambda picture: picture})
    law = make_family("dwtdct", {})
    pictures = [p for p in (smooth(i, 256, 256) for i in range(30)) if law.obstacle(p) is None][:8]
    pngs = [_record(f"{i}.png", p) for i, p in enumerate(pictures)]
    jpegs = [_record(f"{i}.jpg", partial(_as_jpeg, p)) for i, p in enumerate(pictures)]
    kept, lost = (check(some, ["dwtdct"], {}, miniature_path(), SECRET, pictures=5) for some in (pngs, jpegs))
    assert kept.families[0].survivals[0].rank_p == 1e-4
    assert lost.families[0].survivals[0].rank_p > 1e-2 and "does not read back" in lost.families[0].verdict
    grey_ones = [_record(f"{i}.jpg", partial(_as_jpeg, p, "L")) for i, p in enumerate(pictures)]
    (found,) = check(grey_ones, ["spread"], {}, miniature_path(), SECRET, pictures=5).families
    assert found.survivals[0].rank_p == 1e-4 and all(np.ptp(look.marked, axis=2).max() == 0 for look in found.looks)


def test_a_picture_that_cannot_be_written_after_all_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def stubborn(data: bytes, pixels: Pixels) -> bytes:
        raise PictureError("its tables are of a kind of their own")

    monkeypatch.setattr(trials, "rewrite", stubborn)
    (found,) = check(_boxes(6), ["spread"], {}, miniature_path(), SECRET, pictures=5).families
    assert found.refused == 6 and "tables" in found.refusal and found.unfit


def test_bad_input_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    def unread() -> Iterator[Record]:
        raise AssertionError("the dataset was read")
        yield

    for families, options, vae, pictures, message in (
        (["spread"], {}, miniature_path(), 2, r"--pictures 2 is out of range\nAllowed: 5 to 1,000"),
        (["spread"], {}, miniature_path(), 2000, "is out of range"),
        (["nope"], {}, miniature_path(), 5, "unknown mark family"),
        (["spread"], {"spread": {"psnr": 2.0}}, miniature_path(), 5, "--option psnr=2 is out of range"),
        (["spread"], {}, tmp_path, 5, "holds no VAE"),
    ):
        with pytest.raises(InputError, match=message):
            check(unread(), families, options, vae, SECRET, pictures=pictures)


def test_large_pictures_are_kept_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "LOOK_SIDE", 100)
    records = [_record(f"{i}.png", smooth(i, 300, 200)) for i in range(5)]
    found: Check = check(records, ["spread"], {}, miniature_path(), SECRET, pictures=5)
    assert {look.marked.shape for look in found.families[0].looks} == {(100, 67, 3)}
