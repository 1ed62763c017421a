"""Reading copies back, finding their release, and comparing two of them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from protect.embed.answers import difference_text
from protect.embed.difference import difference
from protect.embed.find import release_of
from protect.embed.show import carriers_shown, write_page
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from tests.support.datasets import make_folder, recaption, varied_captions

QUICK = Options(rate=0.2, decoys=99, alpha=0.05, alignment="twa")


def test_verify_names_every_damage(tmp_path: Path, keyring: Keyring) -> None:
    source, out = make_folder(tmp_path / "d", 60), tmp_path / "out"
    done = embed(source, out, QUICK, keyring, anyway=True)
    a, b, c, d = done.release.carriers[:4]
    (out / a.key).unlink()
    (out / b.key).write_bytes((source / b.key).read_bytes())
    (out / c.key).write_bytes(b"no picture")
    text = (out / "metadata.jsonl").read_text(encoding="utf-8")
    (out / "metadata.jsonl").write_text(text.replace(d.captions["text"], "something else"), encoding="utf-8")
    found = verify(done.bound, open_dataset(out))
    problems = {f.key: f.problem for f in found.findings}
    assert found.carriers - found.intact == len(problems) == 4
    assert problems[c.key] == "picture cannot be read" and problems[d.key] == "caption changed"
    assert "missing" in problems[a.key] and "bytes changed" in problems[b.key]
    with pytest.raises(InputError, match="none of the"):
        verify(done.bound, open_dataset(make_folder(tmp_path / "other", 3, "sidecar", ".bmp")))


def test_a_compressed_copy_still_shows_its_mark(tmp_path: Path, keyring: Keyring) -> None:
    from PIL import Image

    source, out = make_folder(tmp_path / "d", 30, suffix=".jpg"), tmp_path / "out"
    done = embed(source, out, QUICK, keyring, anyway=True)
    carrier = out / done.release.carriers[0].key
    Image.open(carrier).save(carrier, quality=60)
    (finding,) = verify(done.bound, open_dataset(out)).findings
    assert "mark still strong" in finding.problem


def test_a_release_is_found_by_what_a_copy_holds_whatever_its_name(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    first = embed(source, tmp_path / "a", QUICK, keyring, name="spring", anyway=True)
    second = embed(source, tmp_path / "b", QUICK, keyring, name="spring", anyway=True)
    (tmp_path / "a").rename(tmp_path / "holiday pictures")
    assert release_of(open_dataset(tmp_path / "holiday pictures"), keyring) == first.release
    assert release_of(open_dataset(tmp_path / "b"), keyring) == second.release
    with pytest.raises(ReleaseError, match="no release fits"):
        release_of(open_dataset(make_folder(tmp_path / "else", 5)), keyring)
    with pytest.raises(ReleaseError, match="2 release called 'spring'"):
        release_of(open_dataset(tmp_path / "b"), keyring, "spring")
    assert release_of(open_dataset(source), keyring, second.release.id) == second.release


def test_a_copy_of_a_retired_release_is_told_so(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    first = embed(source, tmp_path / "a", QUICK, keyring, name="spring", anyway=True).release
    embed(source, tmp_path / "b", QUICK, keyring, name="summer", anyway=True)
    kept = keyring.retire(first)
    for wanted in (None, "spring", first.id[:6]):
        with pytest.raises(ReleaseError) as refusal:
            release_of(open_dataset(tmp_path / "a"), keyring, wanted)
        what, advice = str(refusal.value).split("\n")
        assert what == f"release {first.id} (spring) is retired: no test looks for it" and str(kept) in advice
    with pytest.raises(ReleaseError, match="no release fits"):
        release_of(open_dataset(source), keyring)
    with pytest.raises(ReleaseError, match="no release called 'winter'"):
        keyring.load("winter")
    kept.rename(keyring.home / "releases" / kept.name)  # as the message says
    assert release_of(open_dataset(tmp_path / "a"), keyring) == first


def test_the_unmarked_original_fits_no_release(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    embed(source, tmp_path / "a", QUICK, keyring, anyway=True)
    with pytest.raises(ReleaseError, match="no release fits"):
        release_of(open_dataset(source), keyring)


def test_diff_shows_what_anyone_sees_and_no_more(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    (source / "SHA256SUMS").write_text("0" * 64 + "  picture 000.png\n")
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=secret_from_seed(1, "test"))
    found = difference(open_dataset(source), open_dataset(tmp_path / "out"))
    assert {change.key for change in found.changes} == {c.key for c in done.release.carriers}
    assert (found.samples, found.pictures, found.captions) == (60, 12, 12)
    assert not (found.only_first or found.only_second or found.files_only_second)
    field, before, after = found.changes[0].captions[0]
    assert field == "text" and before in after and before != after
    same = difference(open_dataset(source), open_dataset(source))
    assert not same.changes and same.samples == 60


def test_two_copies_of_one_dataset_differ_where_either_has_carriers(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    keys = set()
    for name, seed in (("a", 1), ("b", 2)):
        release = embed(source, tmp_path / name, QUICK, keyring, secret=secret_from_seed(seed, "test")).release
        keys |= {c.key for c in release.carriers}
    found = difference(open_dataset(tmp_path / "a"), open_dataset(tmp_path / "b"))
    assert {change.key for change in found.changes} == keys


def test_diff_names_samples_that_only_one_copy_has(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "d", 10, "sidecar")
    shutil.copytree(source, tmp_path / "e")
    (tmp_path / "e" / "picture 003.png").unlink()
    (tmp_path / "e" / "notes.md").write_text("x")
    found = difference(open_dataset(source), open_dataset(tmp_path / "e"))
    assert found.only_first == ("picture 003.png",) and found.only_second == ()
    assert found.files_only_second == ("notes.md",) and found.files_only_first == ("picture 003.png",)


def test_diff_of_two_forms_compares_samples_and_no_files(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = make_folder(tmp_path / "d", 10, "sidecar")
    records = list(open_dataset(source).records())
    pictures = [{"bytes": record.read(), "path": record.key} for record in records]
    captions = [*(record.caption for record in records[:9]), "another"]
    pq.write_table(pa.table({"image": pictures, "text": captions}), tmp_path / "d.parquet")
    found = difference(open_dataset(source), open_dataset(tmp_path / "d.parquet"))
    assert (found.samples, found.pictures, found.captions) == (10, 0, 1)
    assert found.changes[0].captions == ((".txt", records[9].caption, "another"),)
    assert not (found.only_first or found.only_second or found.files_only_first or found.files_only_second)
    said = difference_text(found).splitlines()
    assert said[1] == (
        "  files differ because the forms do (sidecar in a folder; parquet in a file): only samples were compared"
    )
    assert len(said) == 3 and said[2].startswith("  differs: ")
    same = difference(open_dataset(source), open_dataset(source))
    assert "forms" not in difference_text(same) and same.forms[0] == same.forms[1]


def test_the_page_of_carriers_is_secret_and_shows_before_and_after(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    options = replace(QUICK, rate=0.5, slots=3)
    done = embed(source, tmp_path / "out", options, keyring, anyway=True)
    shown = carriers_shown(done.bound, open_dataset(tmp_path / "out"), open_dataset(source), 7)
    assert [s.slot for s in shown] == [1, 2, 3, 1, 2, 3, 1]
    assert all(s.before.startswith("data:image/jpeg") and s.after != s.before for s in shown)
    page = tmp_path / "page.html"
    write_page(page, done.release, shown)
    html = page.read_text(encoding="utf-8")
    assert page.stat().st_mode & 0o777 == 0o600
    assert html.count("<img") == 14 and "盒子" in html and "the page shows 7 of them" in html.lower()
    with pytest.raises(InputError, match="holds no carrier"):
        carriers_shown(done.bound, open_dataset(make_folder(tmp_path / "else", 3, "sidecar", ".bmp")), None, 7)
    other = recaption(make_folder(tmp_path / "same names", 60), varied_captions(60))
    with pytest.raises(InputError, match="is not the dataset of release"):
        carriers_shown(done.bound, open_dataset(tmp_path / "out"), open_dataset(other), 7)
