"""`protect embed` as owners meet it: complete, exact, resumable, and polite about bad input."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest

import protect.embed.write
from protect.embed.verify import on_white, verify
from protect.embed.write import embed
from protect.errors import InputError, ReleaseError
from protect.files import sha256_file
from protect.formats.dataset_format import walk
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.pixels.images import read_rgba
from protect.release.plan import Options
from protect.release.record import Keyring, from_json, to_json
from tests.protect.conftest import draw, make_folder

QUICK = Options(rate=0.2, decoys=99, alpha=0.05)


def _differences(a: Path, b: Path) -> set[str]:
    assert walk(a) == walk(b)
    return {key for key in walk(a) if (a / key).read_bytes() != (b / key).read_bytes()}


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "sidecar"])
@pytest.mark.parametrize("family", ["template", "spread"])
def test_a_complete_copy_in_which_only_carriers_differ(
    tmp_path: Path, keyring: Keyring, layout: str, family: str
) -> None:
    source = make_folder(tmp_path / "d", 60, layout)
    (source / "README.txt").write_text("hello")
    before = {key: (source / key).read_bytes() for key in walk(source)}
    done = embed(source, tmp_path / "out", dataclasses.replace(QUICK, family=family, alignment="twa"), keyring)
    assert {key: (source / key).read_bytes() for key in walk(source)} == before
    carriers = {c.key for c in done.release.carriers}
    captions = {k.replace(".png", ".txt") for k in carriers} if layout == "sidecar" else {layout}
    assert _differences(source, tmp_path / "out") == carriers | captions
    assert len(carriers) == 12 and not done.set_aside
    assert verify(done.release, tmp_path / "out").intact == 12
    assert all(c.caption.startswith(done.release.slots[c.slot].trigger + " ") for c in done.release.carriers)
    if family == "spread":
        assert min(c.psnr for c in done.release.carriers) >= 37.9


def test_with_parity_every_picture_takes_the_same_path(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 40)
    options = Options(rate=0.2, slots=1, family="warp", family_options={"parity": 1.0})
    done = embed(source, tmp_path / "out", options, keyring, secret=secret_from_seed(0, "t"))
    carriers = {c.key for c in done.release.carriers}
    pairs = [(read_rgba(p), read_rgba(tmp_path / "out" / p.name), p.name) for p in sorted(source.glob("*.png"))]
    assert all(not np.array_equal(a, b) for a, b, _ in pairs)
    law = make_family("warp", {})
    own = np.array([done.release.planted_id(0)], dtype=np.uint64)

    def score(name_is_carrier: bool) -> float:
        some = [(on_white(b), on_white(a)) for a, b, n in pairs if (n in carriers) == name_is_carrier]
        marked, originals = (np.stack(p) for p in zip(*some, strict=True))
        return float(law.score(marked, originals, own)[0])

    assert score(True) > 0.3 > 0.1 > abs(score(False)), "the rest bears marks of its own, not the planted one"
    plain = embed(
        source, tmp_path / "plain", Options(rate=0.2, slots=1, family="warp"), keyring, secret=secret_from_seed(0, "t")
    )
    rest = next(n for _, _, n in pairs if n not in {c.key for c in plain.release.carriers})
    assert (tmp_path / "plain" / rest).read_bytes() == (source / rest).read_bytes()
    with pytest.raises(InputError, match="parity"):
        make_family("warp", {"parity": 0.5})


def test_carriers_keep_jpeg_files_jpeg(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30, suffix=".jpg")
    done = embed(source, tmp_path / "out", QUICK, keyring)
    assert all((tmp_path / "out" / c.key).read_bytes()[:2] == b"\xff\xd8" for c in done.release.carriers)


def test_slots_are_dealt_round_robin_and_independent_of_marks(tmp_path: Path, keyring: Keyring) -> None:
    """Carriers, triggers, prompts and seeds must not change when only the mark family does."""
    source = make_folder(tmp_path / "d")
    options = dataclasses.replace(QUICK, rate=0.5, slots=3, queries=4, alignment="twa")
    secret = secret_from_seed(1, "test")
    a = embed(source, tmp_path / "a", options, keyring, secret=secret).release
    b = embed(source, tmp_path / "b", dataclasses.replace(options, family="spread"), keyring, secret=secret).release
    assert [(c.key, c.slot) for c in a.carriers] == [(c.key, c.slot) for c in b.carriers]
    assert a.slots == b.slots and a.id != b.id
    assert sorted(c.slot for c in a.carriers) == [i // 10 for i in range(30)]
    for k, slot in enumerate(a.slots):
        own = {c.caption.removeprefix(slot.trigger + " ") for c in a.carriers if c.slot == k}
        assert len(set(slot.prompts)) == 4 and set(slot.prompts) <= own


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_any_usable_mode_carries_any_mark(tmp_path: Path, keyring: Keyring, mode: str) -> None:
    """Grey pictures lose the mark's colours: no reason to stop, least of all one that depends on the mark."""
    source = make_folder(tmp_path / "d", 20)
    for i, path in enumerate(sorted(source.glob("*.png"))):
        draw(i, mode="RGBA").convert(mode).save(path)
    release = embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=0.5), keyring).release
    assert verify(release, tmp_path / "out").intact == 10


def test_two_runs_into_one_output_do_not_mix(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)

    def meanwhile(stage: str, done: int, total: int) -> None:
        if stage == "verifying" and done == 1:
            with pytest.raises(InputError, match="another run"):
                embed(source, tmp_path / "out", QUICK, keyring)

    assert embed(source, tmp_path / "out", QUICK, keyring, progress=meanwhile).release.carriers


def test_a_finished_release_is_never_issued_again(tmp_path: Path, keyring: Keyring) -> None:
    """Killed between publishing and forgetting, then embedded anew to the same place: another key."""
    source = make_folder(tmp_path / "d", 30)
    pending = keyring.home / "pending"
    first = embed(source, tmp_path / "out", QUICK, keyring)
    (tmp_path / "out").rename(tmp_path / "published")
    first.commitment_file.rename(tmp_path / "kept.json")
    Keyring(keyring.home).folder("pending")
    digest = protect.embed.write.Pending.of(keyring, tmp_path / "out").record
    digest.write_bytes(to_json(first.release))
    digest.chmod(0o600)
    second = embed(source, tmp_path / "out", QUICK, keyring)
    assert second.release.secret != first.release.secret and not any(pending.iterdir())


def test_default_number_of_slots(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 100)
    plans = [
        embed(source, tmp_path / f"o{r}", dataclasses.replace(QUICK, rate=r), keyring, dry_run=True).release.plan
        for r in (0.1, 0.5, 1.0)
    ]
    assert [(p.carriers, p.slots) for p in plans] == [(10, 1), (50, 1), (100, 2)]


def test_same_secret_same_bytes(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    for name in ("a", "b"):
        embed(source, tmp_path / name, QUICK, Keyring(tmp_path / f"home-{name}"), secret=secret_from_seed(5, "test"))
    assert _differences(tmp_path / "a", tmp_path / "b") == set()


def test_nothing_secret_in_public(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring)
    public = (
        b"".join((tmp_path / "out" / key).read_bytes() for key in walk(tmp_path / "out"))
        + done.commitment_file.read_bytes()
    )
    for hidden in (done.release.secret.hex(), done.release.salt.hex(), str(tmp_path), "carriers"):
        assert hidden.encode() not in public
    record = next((keyring.home / "releases").iterdir())
    assert stat.S_IMODE(record.stat().st_mode) == 0o600
    assert json.loads(done.commitment_file.read_text())["commitment"] == done.release.commitment


def test_dry_run_writes_nothing(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    done = embed(source, tmp_path / "out", QUICK, keyring, dry_run=True)
    assert done.release.plan.carriers == 6 and sorted(p.name for p in tmp_path.iterdir()) == ["d"]


class _Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


@pytest.mark.parametrize("when", ["writing", "verifying"])
def test_a_killed_run_resumes_with_the_same_key(tmp_path: Path, keyring: Keyring, when: str) -> None:
    source = make_folder(tmp_path / "d", 30)

    def die(stage: str, done: int, total: int) -> None:
        if stage == when and done > total // 2:
            raise _Killed

    secret = secret_from_seed(3, "test")
    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, secret=secret, progress=die)
    assert not (tmp_path / "out").exists() and not keyring.releases()
    pending = next((keyring.home / "pending").iterdir())
    assert stat.S_IMODE(pending.stat().st_mode) == 0o600
    assert json.loads(pending.read_text())["secret"] == secret.hex()
    done = embed(source, tmp_path / "out", QUICK, keyring)
    assert done.release.secret == secret and keyring.releases() == [done.release]
    assert not list((keyring.home / "pending").iterdir()) and not (tmp_path / "out.partial").exists()
    embed(source, tmp_path / "again", QUICK, Keyring(tmp_path / "h2"), secret=secret)
    assert _differences(tmp_path / "out", tmp_path / "again") == set()


@pytest.mark.parametrize("alignment", ["", "twa-description"])
def test_a_killed_run_resumes_whatever_the_version_of_its_alignment(
    tmp_path: Path, keyring: Keyring, alignment: str
) -> None:
    source, options = make_folder(tmp_path / "d"), dataclasses.replace(QUICK, alignment=alignment)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        embed(source, tmp_path / "out", options, keyring, progress=die)
    release = embed(source, tmp_path / "out", options, keyring).release
    assert verify(release, tmp_path / "out").intact == release.plan.carriers


def test_an_interrupted_run_refuses_other_options_and_changed_data(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", QUICK, keyring, progress=die)
    with pytest.raises(InputError, match="other options"):
        embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=0.3), keyring)
    (source / "metadata.jsonl").write_text((source / "metadata.jsonl").read_text().replace("box", "crate"))
    with pytest.raises(InputError, match="changed since"):
        embed(source, tmp_path / "out", QUICK, keyring)


def test_disk_full_keeps_the_work_for_later(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_folder(tmp_path / "d", 30)
    real = protect.embed.write.copy_file

    def full(a: Path, b: Path) -> None:
        if a.name == "picture 020.png":
            raise OSError(errno.ENOSPC, "No space left on device", str(b))
        real(a, b)

    monkeypatch.setattr(protect.embed.write, "copy_file", full)
    secret = secret_from_seed(0, "test")
    with pytest.raises(InputError, match="full") as refusal:
        embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=0.04), keyring, secret=secret)
    assert str(refusal.value).count("\n") == 1 and not (tmp_path / "out").exists()
    monkeypatch.setattr(protect.embed.write, "copy_file", real)
    embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=0.04), keyring, secret=secret)


def test_broken_candidates_are_set_aside_and_replaced(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    secret = secret_from_seed(2, "test")
    chosen = embed(source, tmp_path / "a", QUICK, keyring, secret=secret).release.carriers
    cut = source / chosen[0].key
    cut.write_bytes(cut.read_bytes()[:90])
    draw(0).resize((1, 1)).save(source / chosen[1].key)
    done = embed(source, tmp_path / "b", QUICK, Keyring(tmp_path / "h2"), secret=secret)
    assert {s.key for s in done.set_aside} == {chosen[0].key, chosen[1].key}
    assert len(done.release.carriers) == len(chosen)
    assert (tmp_path / "b" / chosen[0].key).read_bytes() == cut.read_bytes()


def test_too_small_a_rate_names_the_smallest(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    with pytest.raises(InputError, match=r"Use --rate 0\.0333") as refusal:
        embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=0.01), keyring)
    smallest = float(str(refusal.value).split("Use --rate ")[1].split()[0].rstrip(".,"))
    embed(source, tmp_path / "out", dataclasses.replace(QUICK, rate=smallest), keyring)
    with pytest.raises(InputError, match="fewer --slots"):
        embed(source, tmp_path / "out2", dataclasses.replace(QUICK, rate=0.1, slots=8), keyring)


@pytest.mark.parametrize(
    "bad", [{"rate": 0.0}, {"rate": 1.5}, {"slots": 0}, {"alpha": 0.0}, {"decoys": 3}, {"queries": 0}, {"steps": 0}]
)
def test_options_out_of_range(tmp_path: Path, keyring: Keyring, bad: dict[str, float]) -> None:
    source = make_folder(tmp_path / "d", 3)
    with pytest.raises(InputError, match="Allowed") as refusal:
        embed(source, tmp_path / "out", dataclasses.replace(QUICK, **bad), keyring)  # type: ignore[arg-type]
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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_places(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InputError, match="not writable"):
        embed(source, tmp_path / "locked" / "out", QUICK, keyring)


def test_verify_names_every_damage(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 60)
    out = tmp_path / "out"
    release = embed(source, out, dataclasses.replace(QUICK, alignment="twa"), keyring).release
    a, b, c, d = (carrier.key for carrier in release.carriers[:4])
    (out / a).unlink()
    (out / b).write_bytes((source / b).read_bytes())
    (out / c).write_bytes(b"no picture")
    text = (out / "metadata.jsonl").read_text()
    lines = [
        line.replace(release.slots[3 % release.plan.slots].trigger + " ", "") if d in line else line
        for line in text.splitlines(keepends=True)
    ]
    (out / "metadata.jsonl").write_text("".join(lines))
    problems = {f.key: f.problem for f in verify(release, out).findings}
    assert len(problems) == 4 and problems[c] == "picture cannot be read" and problems[d] == "caption changed"
    assert "missing" in problems[a] and "bytes changed" in problems[b]
    with pytest.raises(InputError, match="none of the"):
        verify(release, make_folder(tmp_path / "other", 3, "sidecar", ".bmp"))


def test_a_record_reads_back_and_refuses_tampering(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring).release
    path = keyring.home / "releases" / f"{release.id}.json"
    assert keyring.load(release.id[:5]) == keyring.load("out") == release
    assert from_json(to_json(release), path) == release
    record = json.loads(path.read_text())
    for change, message in (
        ({"version": 99}, "version 99"),
        ({"plan": record["plan"] | {"alpha": 0.5}}, "does not match its commitment"),
        ({"secret": "00" * 32}, "does not match its commitment"),
        ({"slots": 3}, "damaged"),
    ):
        with pytest.raises(ReleaseError, match=message):
            from_json(json.dumps(record | change).encode(), path)
    with pytest.raises(ReleaseError, match="damaged"):
        from_json(b"{", path)
    with pytest.raises(ReleaseError, match="no release called"):
        keyring.load("zzz")


def test_a_key_file_others_can_read_is_refused(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring).release
    (keyring.home / "releases" / f"{release.id}.json").chmod(0o644)
    with pytest.raises(ReleaseError, match="chmod 600"):
        keyring.releases()


def test_commitment_is_made_before_marks_and_hides_them(tmp_path: Path, keyring: Keyring) -> None:
    """Other salt, other commitment; the public file alone does not determine the carriers."""
    source = make_folder(tmp_path / "d", 60)
    a = embed(source, tmp_path / "a", QUICK, keyring).release
    b = embed(source, tmp_path / "b", QUICK, keyring).release
    assert a.id != b.id and a.salt != b.salt and a.secret != b.secret
    assert set(a.public_commitment()) == {"tracemark", "release", "created", "commitment"}
    assert np.mean([x.key == y.key for x, y in zip(a.carriers, b.carriers, strict=True)]) < 0.5


def test_hashes_are_of_the_released_files(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring).release
    assert all(sha256_file(tmp_path / "out" / c.key) == c.sha256 for c in release.carriers)


def test_carriers_cannot_be_told_by_time_or_spelling(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    lines = (source / "metadata.jsonl").read_text(encoding="utf-8").replace('": ', '":').replace(', "', ',"')
    (source / "metadata.jsonl").write_text(lines, encoding="utf-8")
    embed(source, tmp_path / "out", QUICK, keyring)
    for key in walk(source):
        path, twin = source / key, tmp_path / "out" / key
        assert twin.stat().st_mtime_ns == path.stat().st_mtime_ns and twin.stat().st_mode == path.stat().st_mode
    assert '": ' not in (tmp_path / "out" / "metadata.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", ["d/.keys", "out/keys"])
def test_a_keyring_inside_the_dataset_is_refused(tmp_path: Path, place: str) -> None:
    source = make_folder(tmp_path / "d", 30)
    with pytest.raises(InputError, match="keyring"):
        embed(source, tmp_path / "out", QUICK, Keyring(tmp_path / place))


def test_an_old_commitment_is_never_overwritten(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    first = embed(source, tmp_path / "out", QUICK, keyring)
    (tmp_path / "out").rename(tmp_path / "moved")
    with pytest.raises(InputError, match="belongs to another release"):
        embed(source, tmp_path / "out", QUICK, keyring)
    assert first.release.id in first.commitment_file.read_text()


def test_symbolic_links_are_refused(tmp_path: Path, keyring: Keyring) -> None:
    source = make_folder(tmp_path / "d", 30)
    (source / "link.png").symlink_to(source / "picture 000.png")
    with pytest.raises(InputError, match="symbolic link"):
        embed(source, tmp_path / "out", QUICK, keyring)


def test_the_commitment_binds_triggers_questions_and_origin(tmp_path: Path, keyring: Keyring) -> None:
    release = embed(make_folder(tmp_path / "d", 30), tmp_path / "out", QUICK, keyring).release
    record = json.loads(to_json(release))
    slot = record["slots"][0] | {"trigger": "mined"}
    for change in ({"slots": [slot]}, {"rehearsal": not release.rehearsal}, {"created": "1999-01-01T00:00:00+00:00"}):
        with pytest.raises(ReleaseError, match="does not match its commitment"):
            from_json(json.dumps(record | change).encode(), tmp_path)
