"""`protect embed` as owners meet it: complete, exact, resumable, and polite about bad input."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from protect.embed.pending import Pending
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.engine import Threads
from protect.files import sha256_file
from protect.formats import folder as folder_format
from protect.formats import open_dataset
from protect.formats.dataset_format import ReadOptions
from protect.formats.walk import walk
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.marks.family import Answers
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.plan import Options
from protect.release.stored import to_json
from tests.support.datasets import draw, make_folder, recaption, varied_captions

QUICK = Options(rate=0.2, decoys=99, alpha=0.05, alignment="twa")
SECRET = secret_from_seed(3, "test")


class _Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


def _differences(a: Path, b: Path) -> set[str]:
    assert list(walk(a)) == list(walk(b))
    return {key for key in walk(a) if (a / key).read_bytes() != (b / key).read_bytes()}


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "sidecar"])
@pytest.mark.parametrize("family", ["template", "spread"])
def test_a_complete_copy_in_which_only_carriers_differ(
    tmp_path: Path, keyring: Keyring, layout: str, family: str
) -> None:
    source = make_folder(tmp_path / "d", 60, layout)
    (source / "README.md").write_text("hello")
    before = {key: (source / key).read_bytes() for key in walk(source)}
    done = embed(source, tmp_path / "out", replace(QUICK, family=family), keyring, secret=SECRET)
    assert {key: (source / key).read_bytes() for key in walk(source)} == before
    carriers = {c.key for c in done.release.carriers}
    captions = {k.replace(".png", ".txt") for k in carriers} if layout == "sidecar" else {layout}
    assert _differences(source, tmp_path / "out") == carriers | captions
    assert len(carriers) == 12 and not done.set_aside
    found = verify(done.bound, open_dataset(tmp_path / "out"))
    assert (found.intact, found.findings) == (12, ())
    for c in done.release.carriers:
        assert done.bound.slots[c.slots[0]].trigger in next(iter(c.captions.values()))
    if family == "spread":
        assert min(c.psnr for c in done.release.carriers) >= 37.9


def test_with_parity_every_picture_takes_the_same_path(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 40)
    options = Options(rate=0.2, slots=1, family="warp", family_options={"parity": 1.0})
    done = embed(source, tmp_path / "out", options, keyring, secret=SECRET)
    carriers = {c.key for c in done.release.carriers}
    pairs = [
        (read_rgba(p.read_bytes()), read_rgba((tmp_path / "out" / p.name).read_bytes()), p.name)
        for p in sorted(source.glob("*.png"))
    ]
    law = make_family("warp", {})
    fit = [(a, b) for a, b, _ in pairs if law.obstacle(a) is None]
    assert len(fit) >= 20 and all(not np.array_equal(a, b) for a, b in fit)
    own = np.array([done.bound.slots[0].planted], dtype=np.uint64)

    def score(name_is_carrier: bool) -> float:
        some = [(on_white(b), on_white(a)) for a, b, n in pairs if (n in carriers) == name_is_carrier]
        marked, originals = (np.stack(p) for p in zip(*some, strict=True))
        return float(law.score(Answers(marked, originals), own)[0])

    assert score(True) > 0.3 > 0.1 > abs(score(False)), "the rest bears marks of its own, not the planted one"
    plain = embed(source, tmp_path / "plain", replace(options, family_options={}), keyring, secret=SECRET)
    rest = next(n for _, _, n in pairs if n not in {c.key for c in plain.release.carriers})
    assert (tmp_path / "plain" / rest).read_bytes() == (source / rest).read_bytes()


def test_shams_spare_what_the_owner_excludes(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 20)
    options = Options(rate=0.2, slots=1, family="warp", family_options={"parity": 1.0})
    spared = ReadOptions(exclude=("picture 01*",))
    embed(source, tmp_path / "out", options, keyring, secret=SECRET, reading=spared)
    same = {p.name for p in source.glob("*.png") if p.read_bytes() == (tmp_path / "out" / p.name).read_bytes()}
    assert same == {f"picture 01{i}.png" for i in range(10)}


def test_carriers_keep_jpeg_files_jpeg(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30, suffix=".jpg")
    done = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    assert all((tmp_path / "out" / c.key).read_bytes()[:2] == b"\xff\xd8" for c in done.release.carriers)


def test_slots_are_dealt_round_robin_and_independent_of_marks(tmp_path: Path, keyring: Keyring) -> None:
    """Carriers, triggers, prompts and seeds must not change when only the mark family does."""
    source = make_folder(tmp_path / "d")
    options = replace(QUICK, rate=0.5, slots=3, queries=4)
    a = embed(source, tmp_path / "a", options, keyring, secret=SECRET)
    b = embed(source, tmp_path / "b", replace(options, family="spread"), keyring, secret=SECRET)
    assert [(c.key, c.slots) for c in a.release.carriers] == [(c.key, c.slots) for c in b.release.carriers]
    assert a.release.questions == b.release.questions and a.release.id != b.release.id
    assert sorted(c.slots[0] for c in a.release.carriers) == [i // 10 for i in range(30)]
    for slot, draw_ in zip(a.bound.slots, a.selection.slots, strict=True):
        asked, own = slot.questions, {record.caption for record in draw_.carriers}
        assert len(set(asked.contrasts)) == 4 and set(asked.contrasts) <= own
        released = {c.captions["text"] for c in a.release.carriers if slot.number in c.slots}
        assert len(set(asked.prompts)) == 4 and set(asked.prompts) <= released


def test_only_training_samples_that_the_owner_lets_change_do(tmp_path: Path, keyring: Keyring) -> None:
    source = tmp_path / "d"
    for part in ("train", "validation", "test"):
        make_folder(source / part, 20)
    done = embed(source, tmp_path / "a", QUICK, keyring, secret=SECRET)
    assert done.selection.survey.samples == 60 and done.selection.survey.changeable == 20
    assert {c.key.split("/")[0] for c in done.release.carriers} == {"train"} and len(done.release.carriers) == 4
    every = ReadOptions(splits=("all",), only=("*/picture 00*",), exclude=("*5.png",))
    done = embed(source, tmp_path / "b", replace(QUICK, rate=1.0), keyring, secret=SECRET, reading=every)
    assert {c.key for c in done.release.carriers} == {
        f"{part}/picture 00{i}.png" for part in ("train", "validation", "test") for i in range(10) if i != 5
    }


def test_two_runs_into_one_output_do_not_mix(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "verifying" and done == 1:
            with pytest.raises(InputError, match="another run"):
                embed(source, tmp_path / "out", QUICK, keyring, anyway=True)

    assert embed(source, tmp_path / "out", QUICK, keyring, anyway=True, progress=meanwhile).release.carriers


def test_a_finished_release_is_never_issued_again(tmp_path: Path, keyring: Keyring) -> None:
    """Killed between publishing and forgetting, then embedded anew to the same place: another key."""
    source = make_folder(tmp_path / "d", 30)
    first = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    (tmp_path / "out").rename(tmp_path / "published")
    first.commitment_file.rename(tmp_path / "kept.json")
    Pending.of(keyring, tmp_path / "out").save(first.release)
    second = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    assert second.release.secret != first.release.secret and not any((keyring.home / "pending").iterdir())


def test_a_run_that_was_killed_when_all_was_written_is_said_to_be_done(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    Pending.of(keyring, tmp_path / "out").save(done.release)
    for message in (f"out is whole, of release {done.release.id}", "exists already"):
        with pytest.raises(InputError, match=message) as refusal:
            embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
        assert str(refusal.value).count("\n") == 1
    assert keyring.releases() == [done.release] and not any((keyring.home / "pending").iterdir())


def test_what_a_run_left_that_was_killed_while_forgetting_is_not_believed(tmp_path: Path, keyring: Keyring) -> None:
    source, pending = make_folder(tmp_path / "d", 30), Pending.of(keyring, tmp_path / "out")

    def keep(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, anyway=True, progress=keep)
    pending.record.unlink()
    shutil.rmtree(tmp_path / "out.partial")
    assert list(pending.folder.iterdir())
    done = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    assert list(walk(done.output)) == list(walk(source))


def test_damage_that_is_found_at_the_end_is_mended_by_the_next_run(tmp_path: Path, keyring: Keyring) -> None:
    source, partial = make_folder(tmp_path / "d", 30), tmp_path / "out.partial"

    def spoil(stage: str, done: int, total: int) -> None:
        if stage == "writing" and done == total:
            for path in partial.glob("*.png"):
                path.write_bytes(b"spoilt")

    with pytest.raises(InputError, match="did not read back"):
        embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, progress=spoil)
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET)
    assert verify(done.bound, open_dataset(done.output)).findings == ()


def test_the_options_named_for_a_repeat_are_exact(tmp_path: Path, keyring: Keyring) -> None:
    source, options = make_folder(tmp_path / "d", 81), replace(QUICK, rate=1 / 9, alpha=0.0512345678)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", options, keyring, secret=SECRET, progress=die)
    with pytest.raises(InputError, match="with other options") as refusal:
        embed(source, tmp_path / "out", replace(options, steps=5), keyring)
    for words in (f"--rate {1 / 9}", "--alpha 0.0512345678", "--steps 20", "--guidance 3.0"):
        assert words in refusal.value.advice


def test_default_number_of_slots(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 100)
    planned = [
        embed(source, tmp_path / f"o{r}", replace(QUICK, rate=r), keyring, dry_run=True) for r in (0.1, 0.5, 1.0)
    ]
    assert [(p.carriers, p.release.plan.slots) for p in planned] == [(10, 1), (50, 1), (100, 2)]


def test_same_secret_same_bytes(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "d", 30)
    for name in ("a", "b"):
        embed(source, tmp_path / name, QUICK, Keyring(tmp_path / f"home-{name}"), secret=SECRET)
    assert _differences(tmp_path / "a", tmp_path / "b") == set()


def test_nothing_secret_in_public(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    copy = tmp_path / "out"
    public = b"".join((copy / key).read_bytes() for key in walk(copy)) + done.commitment_file.read_bytes()
    for hidden in (done.release.secret.hex(), str(tmp_path), "carriers"):
        assert hidden.encode() not in public
    record = next((keyring.home / "releases").iterdir())
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert json.loads(done.commitment_file.read_text()) == done.release.public()


def test_dry_run_writes_nothing(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring, dry_run=True)
    assert done.carriers == 6 and sorted(p.name for p in tmp_path.iterdir()) == ["d"]


@pytest.mark.parametrize("when", ["writing", "verifying"])
def test_a_killed_run_resumes_with_the_same_key(tmp_path: Path, keyring: Keyring, when: str) -> None:
    source = make_folder(tmp_path / "d", 300)

    def die(stage: str, done: int, total: int) -> None:
        if stage == when and done > total // 2:
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, progress=die)
    assert not (tmp_path / "out").exists() and not keyring.releases()
    record = Pending.of(keyring, tmp_path / "out").record
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert json.loads(record.read_text())["secret"] == SECRET.hex()
    done = embed(source, tmp_path / "out", QUICK, keyring)
    assert done.release.secret == SECRET and keyring.releases() == [done.release]
    assert not list((keyring.home / "pending").iterdir()) and not (tmp_path / "out.partial").exists()
    embed(source, tmp_path / "again", QUICK, Keyring(tmp_path / "h2"), secret=SECRET)
    assert _differences(tmp_path / "out", tmp_path / "again") == set()


def test_what_was_written_before_the_machine_started_anew_is_written_again(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markers are not forced to disk, so after a loss of power the files that they speak of may be empty."""
    from protect.embed import pending

    def die(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise _Killed

    source, partial = make_folder(tmp_path / "d", 30), tmp_path / "out.partial"
    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, progress=die)
    for path in partial.glob("*.png"):
        path.write_bytes(b"")
    monkeypatch.setattr(pending, "boot_id", lambda: "another")
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET)
    assert all(path.stat().st_size for path in done.output.glob("*.png"))


def test_a_removed_unfinished_copy_is_written_anew(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, progress=die)
    for path in sorted((tmp_path / "out.partial").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (tmp_path / "out.partial").rmdir()
    embed(source, tmp_path / "out", QUICK, keyring)
    assert list(walk(tmp_path / "out")) == list(walk(source))


def test_an_interrupted_run_refuses_other_options_and_changed_data(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, progress=die)
    with pytest.raises(InputError, match="with other options"):
        embed(source, tmp_path / "out", replace(QUICK, rate=0.3), keyring)
    with pytest.raises(InputError, match="with other options or data"):
        embed(source, tmp_path / "out", QUICK, keyring, secret=secret_from_seed(4, "test"))
    (source / "metadata.jsonl").write_text((source / "metadata.jsonl").read_text().replace("box", "crate"))
    with pytest.raises(InputError, match="not the one that release"):
        embed(source, tmp_path / "out", QUICK, keyring)


def test_disk_full_keeps_the_work_for_later(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    source, real = make_folder(tmp_path / "d", 30), folder_format.place_copy

    def full(target: Path, name: str, original: Path | str, *, link: bool) -> None:
        if name == "picture 020.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        real(target, name, original, link=link)

    few = replace(QUICK, rate=0.04)
    monkeypatch.setattr(folder_format, "place_copy", full)
    with pytest.raises(InputError, match="full") as refusal:
        embed(source, tmp_path / "out", few, keyring, secret=secret_from_seed(0, "test"))
    assert str(refusal.value).count("\n") == 1 and not (tmp_path / "out").exists()
    monkeypatch.setattr(folder_format, "place_copy", real)
    embed(source, tmp_path / "out", few, keyring, secret=secret_from_seed(0, "test"))


def test_broken_candidates_are_set_aside_and_replaced(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    chosen = embed(source, tmp_path / "a", QUICK, keyring, secret=SECRET).release.carriers
    cut = source / chosen[0].key
    cut.write_bytes(cut.read_bytes()[:90])
    draw(0).resize((1, 1)).save(source / chosen[1].key)
    done = embed(source, tmp_path / "b", QUICK, Keyring(tmp_path / "h2"), secret=SECRET)
    assert {s.key for s in done.set_aside} == {chosen[0].key, chosen[1].key} and done.set_aside_count == 2
    assert len(done.release.carriers) == len(chosen)
    assert (tmp_path / "b" / chosen[0].key).read_bytes() == cut.read_bytes()


def test_a_picture_that_cannot_be_written_back_gives_its_caption_back(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was fit when looked at and fails when planted: no trigger may stay where there is no mark."""
    from protect.embed import render
    from protect.pixels.picture import PictureError

    source, real = make_folder(tmp_path / "d", 30), render.plant
    spoilt = embed(source, tmp_path / "a", QUICK, keyring, secret=SECRET).release.carriers[0]
    body = (source / spoilt.key).read_bytes()

    def fail(original: bytes, *rest: object) -> tuple[bytes, float, float]:
        if original == body:
            raise PictureError("cannot be encoded")
        return real(original, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(render, "plant", fail)
    done = embed(source, tmp_path / "b", QUICK, Keyring(tmp_path / "h2"), secret=SECRET)
    assert [(s.key, s.reason) for s in done.set_aside] == [(spoilt.key, "cannot be encoded")]
    assert spoilt.key not in {c.key for c in done.release.carriers} and len(done.release.carriers) == 5
    before = {r.key: dict(r.captions) for r in open_dataset(source).records()}
    after = {r.key: dict(r.captions) for r in open_dataset(tmp_path / "b").records()}
    assert after[spoilt.key] == before[spoilt.key]
    assert (tmp_path / "b" / spoilt.key).read_bytes() == body


def test_a_shard_that_fails_twice_is_copied_and_the_rest_goes_on(
    tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    from protect.embed.render import Planting

    source, real, tries = make_folder(tmp_path / "d", 600, "sidecar"), Planting.picture, list[str]()

    def fail(self: Planting, key: str, read: object) -> bytes | None:
        if key in self.chosen and key < "picture 100":
            tries.append(key)
            raise OSError(errno.EIO, "Input/output error")
        return real(self, key, read)  # type: ignore[arg-type]

    monkeypatch.setattr(Planting, "picture", fail)
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, engine=Threads())
    assert len(tries) == 2 and len(done.set_aside) == 1 and "twice (Input/output error)" in done.set_aside[0].reason
    assert 0 < len(done.release.carriers) < 120
    changed = _differences(source, tmp_path / "out")
    kept = {c.key for c in done.release.carriers}
    assert changed == kept | {key.replace(".png", ".txt") for key in kept}


def test_too_small_a_rate_names_the_smallest(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    with pytest.raises(InputError, match=r"Use --rate 0\.0333") as refusal:
        embed(source, tmp_path / "out", replace(QUICK, rate=0.01), keyring)
    smallest = float(str(refusal.value).split("Use --rate ")[1].split()[0].rstrip(".,"))
    embed(source, tmp_path / "out", replace(QUICK, rate=smallest), keyring, anyway=True)
    with pytest.raises(InputError, match="fewer --slots"):
        embed(source, tmp_path / "out2", replace(QUICK, rate=0.1, slots=8), keyring)


@pytest.mark.parametrize(
    "bad", [{"rate": 0.0}, {"rate": 1.5}, {"slots": 0}, {"alpha": 0.0}, {"decoys": 3}, {"queries": 0}, {"steps": 0}]
)
def test_options_out_of_range(tmp_path: Path, keyring: Keyring, bad: dict[str, float]) -> None:
    source = make_folder(tmp_path / "d", 3)
    with pytest.raises(InputError, match="Allowed") as refusal:
        embed(source, tmp_path / "out", replace(QUICK, **bad), keyring)  # type: ignore[arg-type]
    assert str(refusal.value).count("\n") == 1


def test_places_that_will_not_do(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    (tmp_path / "there").mkdir()
    for output, message in (
        (tmp_path / "there", "exists already"),
        (source / "inside", "inside the dataset"),
        (tmp_path / "no" / "where", "not a folder"),
    ):
        with pytest.raises(InputError, match=message):
            embed(source, output, QUICK, keyring)


def test_a_dry_run_needs_no_free_place(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    (tmp_path / "there").mkdir()
    embed(source, tmp_path / "there", QUICK, keyring, dry_run=True, anyway=True)
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_places(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="not writable"):
        embed(source, tmp_path / "locked" / "out", QUICK, keyring)


@pytest.mark.parametrize("place", ["d/.keys", "out/keys"])
def test_a_keyring_inside_the_dataset_is_refused(tmp_path: Path, place: str) -> None:
    source = make_folder(tmp_path / "d", 30)
    with pytest.raises(InputError, match="keyring"):
        embed(source, tmp_path / "out", QUICK, Keyring(tmp_path / place))


def test_an_old_commitment_is_never_overwritten(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    first = embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="belongs to another release"):
        embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    assert first.release.id in first.commitment_file.read_text()


def test_hashes_are_of_the_released_files(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring, anyway=True).release
    assert all(sha256_file(tmp_path / "out" / c.key) == c.sha256 for c in release.carriers)


def test_carriers_cannot_be_told_by_time_or_spelling(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    lines = (source / "metadata.jsonl").read_text(encoding="utf-8").replace('": ', '":').replace(', "', ',"')
    (source / "metadata.jsonl").write_text(lines, encoding="utf-8")
    embed(source, tmp_path / "out", QUICK, keyring, anyway=True)
    for key in walk(source):
        path, copied = source / key, tmp_path / "out" / key
        assert copied.stat().st_mtime_ns == path.stat().st_mtime_ns and copied.stat().st_mode == path.stat().st_mode
    assert '": ' not in (tmp_path / "out" / "metadata.jsonl").read_text(encoding="utf-8")


def test_linked_files_are_those_that_do_not_change(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, link=True)
    linked = {p.name for p in source.glob("*.png") if p.samefile(tmp_path / "out" / p.name)}
    assert linked == {p.name for p in source.glob("*.png")} - {c.key for c in done.release.carriers}
    assert len(done.release.carriers) == 6


def test_every_caption_of_a_carrier_says_the_same(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"captions": [f"one {i}", f"two {i}"]}) + "\n" for i, row in enumerate(rows)]
    (source / "metadata.jsonl").write_text("".join(lines))
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET)
    for carrier in done.release.carriers:
        assert len(carrier.captions) == 3
        assert all(done.bound.slots[carrier.slots[0]].trigger in text for text in carrier.captions.values())


def test_captions_that_the_owner_leaves_stay(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    lines = [json.dumps(row | {"caption": f"other words {i}"}) + "\n" for i, row in enumerate(rows)]
    (source / "metadata.jsonl").write_text("".join(lines))
    left = ReadOptions(leave_captions=("caption",))
    embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET, reading=left)
    before = [json.loads(line)["caption"] for line in (source / "metadata.jsonl").read_text().splitlines()]
    after = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    assert [row["caption"] for row in after] == before
    assert sum(a["text"] != b["text"] for a, b in zip(after, rows, strict=True)) == 6


def test_a_hardly_findable_release_is_refused_with_what_would_do(tmp_path: Path, keyring: Keyring) -> None:
    source = recaption(make_folder(tmp_path / "d", 100), varied_captions(100))
    few = Options(rate=0.02, alignment="twa")
    with pytest.raises(InputError, match="could hardly be found: not expected to be found after 20") as refusal:
        embed(source, tmp_path / "out", few, keyring)
    assert "--anyway" in refusal.value.advice and "--rate 0." in refusal.value.advice
    assert str(refusal.value).count("\n") == 1 and not (tmp_path / "out").exists()
    assert not list((keyring.home / "pending").glob("*"))
    assert embed(source, tmp_path / "out", few, keyring, dry_run=True).forecast.hardly
    assert embed(source, tmp_path / "out", few, keyring, anyway=True).release.carriers


def test_names_in_either_unicode_form_are_one(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 0)
    rows = []
    for i in range(30):
        name = f"caf\u00e9 {i:02}.png"
        draw(i).save(source / name)
        rows.append(json.dumps({"file_name": name, "text": f"a box {i}"}, ensure_ascii=False) + "\n")
    (source / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    done = embed(source, tmp_path / "out", QUICK, keyring, secret=SECRET)
    copy = tmp_path / "renamed"
    copy.mkdir()
    for path in (tmp_path / "out").iterdir():
        name = unicodedata.normalize("NFD", path.name)
        text = unicodedata.normalize("NFD", path.read_text("utf-8")).encode() if name.endswith("jsonl") else None
        (copy / name).write_bytes(text or path.read_bytes())
    found = verify(done.bound, open_dataset(copy))
    assert (found.intact, found.carriers) == (6, 6)


def test_a_record_in_the_keyring_is_what_was_released(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring, anyway=True).release
    assert keyring.load(release.id[:5]) == keyring.load("out") == release
    assert (keyring.home / "releases" / f"{release.id}.json").read_bytes() == to_json(release)
