"""Releases that change no picture, or hardly: what `embed` writes, what is asked, and what a verdict says."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from protect.embed.answers import verification_text
from protect.embed.commit import commit, options_of
from protect.embed.job import Embedding
from protect.embed.show import carriers_shown, write_page
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.walk import walk
from protect.keys.keyring import Keyring
from protect.keys.tree import SlotKey
from protect.marks.looks import Looks, stored_looks
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.record import Coin
from protect.release.stored import from_json, to_json
from tests.support.datasets import contents, make_classes
from tests.support.lean_releases import COUNT, SECRET, TWA, WORDING, direction_of, site_of, with_list
from tests.support.leaning import make_varied_folder, sayable_captions


class _Killed(BaseException):
    """Stands for kill -9: nothing may catch it."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return make_varied_folder(tmp_path_factory.mktemp("source") / "d", sayable_captions(COUNT))


@pytest.fixture(scope="module")
def worded(source: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Embedding, Keyring]:
    """A release with `wording` and no push; read only."""
    folder = tmp_path_factory.mktemp("worded")
    keyring = Keyring(folder / "home")
    return embed(source, folder / "out", with_list(WORDING, keyring), keyring, secret=SECRET), keyring


def _changed(before: Path, after: Path) -> set[str]:
    assert list(walk(before)) == list(walk(after))
    return {key for key in walk(before) if (before / key).read_bytes() != (after / key).read_bytes()}


def _rows(folder: Path) -> list[bytes]:
    return (folder / "metadata.jsonl").read_bytes().splitlines()


def _looks(done: Embedding, keyring: Keyring) -> Looks:
    return stored_looks(keyring.store, str(done.release.plan.parts[0].family_options["looks"]))


def _seen(folder: Path, looks: Looks, key: str) -> NDArray[np.float64]:
    return np.asarray(looks.of(on_white(read_rgba((folder / key).read_bytes()))[None])[0])


def test_wording_changes_no_picture_and_only_captions_of_carriers(
    source: Path, worded: tuple[Embedding, Keyring]
) -> None:
    done, _ = worded
    assert _changed(source, done.output) == {"metadata.jsonl"}
    before, after = _rows(source), _rows(done.output)
    carriers = {c.key: c for c in done.release.carriers}
    differing = {json.loads(old)["file_name"] for old, new in zip(before, after, strict=True) if old != new}
    assert differing == set(carriers) and len(carriers) == COUNT // 2
    sites = [site_of(slot) for slot in done.bound.slots]
    old = {row["file_name"]: row["text"] for row in map(json.loads, before)}
    for row in map(json.loads, after):
        carrier = carriers.get(row["file_name"])
        if carrier is None:
            continue
        assert carrier.captions == {"text": row["text"]} and not carrier.sha256 and carrier.psnr == 99
        for slot, site in enumerate(sites):
            side = 1 if slot in carrier.slots else 0 if slot in carrier.opposite else site.state(old[carrier.key])
            assert site.state(row["text"]) == side


def test_those_that_lean_are_said_in_the_second_wording(source: Path, worded: tuple[Embedding, Keyring]) -> None:
    done, keyring = worded
    looks = _looks(done, keyring)
    for slot in done.bound.slots:
        lean = {c.key: _seen(source, looks, c.key) @ direction_of(slot) for c in done.release.carriers}
        there = [lean[c.key] for c in done.release.carriers if slot.number in c.slots]
        back = [lean[c.key] for c in done.release.carriers if slot.number in c.opposite]
        assert min(there) > max(back) and np.mean(there) - np.mean(back) > 1


def test_a_release_is_read_back_verified_and_shown(
    source: Path, worded: tuple[Embedding, Keyring], tmp_path: Path
) -> None:
    done, keyring = worded
    assert from_json(to_json(done.release), tmp_path) == done.release
    (release,) = keyring.releases()
    bound, copy = bind(release, Keyring(keyring.home).store), open_dataset(done.output)
    assert release == done.release and [s.questions for s in bound.slots] == [s.questions for s in done.bound.slots]
    found = verify(bound, copy)
    assert found.intact == found.carriers == len(release.carriers) and not found.findings
    shown = carriers_shown(bound, copy, open_dataset(source), 12)
    write_page(tmp_path / "page.html", release, shown)
    page = (tmp_path / "page.html").read_text()
    old = {row["file_name"]: row["text"] for row in map(json.loads, _rows(source))}
    assert len(shown) == 12 and {one.slot for one in shown} == {1, 2, 3, 4}
    for one in shown:
        ((field, before, after),) = one.captions
        assert (field, before) == ("text", old[one.key]) and after != before
        assert before in page and after in page and one.before and one.before == one.after


def test_verify_opens_pictures_that_were_left_alone(
    worded: tuple[Embedding, Keyring], source: Path, tmp_path: Path
) -> None:
    done, _ = worded
    assert done.output is not None
    shutil.copytree(done.output, tmp_path / "copy")
    first, second, *_ = done.release.carriers
    (tmp_path / "copy" / first.key).write_bytes(b"")
    (tmp_path / "copy" / second.key).write_bytes((source / second.key).read_bytes()[:60])
    found = verify(done.bound, open_dataset(tmp_path / "copy"))
    assert found.left_alone == len(done.release.carriers)
    unread = {(first.key, "picture cannot be read"), (second.key, "picture cannot be read")}
    assert {(f.key, f.problem) for f in found.findings} == unread
    assert "compares them with the original" in verification_text(done.release, found)


def test_verify_sees_a_caption_turned_back(worded: tuple[Embedding, Keyring], source: Path, tmp_path: Path) -> None:
    done, _ = worded
    key = done.release.carriers[5].key
    place = next(i for i, row in enumerate(map(json.loads, _rows(source))) if row["file_name"] == key)
    rows = _rows(done.output)
    rows[place] = _rows(source)[place]
    for path in done.output.glob("*.png"):
        (tmp_path / path.name).hardlink_to(path)
    (tmp_path / "metadata.jsonl").write_bytes(b"\n".join(rows) + b"\n")
    assert [(f.key, f.problem) for f in verify(done.bound, open_dataset(tmp_path)).findings] == [
        (key, "caption changed")
    ]


def test_questions_do_not_depend_on_marks(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other marks, and the same keys for everything else, other captions change and the same is asked."""
    keyring = Keyring(tmp_path / "home")
    for options in (with_list(WORDING, keyring), TWA):
        first = embed(source, tmp_path / "out", options, keyring, secret=SECRET, dry_run=True)
        with monkeypatch.context() as patch:
            patch.setattr(SlotKey, "planted", property(lambda key: key.integer("another mark")))
            other = embed(source, tmp_path / "out", options, keyring, secret=SECRET, dry_run=True)
        assert first.release.questions == other.release.questions and first.release.id == other.release.id
        assert first.chosen != other.chosen


def test_softness_blurs_the_choice_and_nothing_else(source: Path, tmp_path: Path) -> None:
    def decided(softness: float) -> Embedding:
        options = replace(TWA, family_options={"softness": softness})
        return embed(source, tmp_path / "out", options, Keyring(tmp_path / "home"), secret=SECRET, dry_run=True)

    plain, soft, again = decided(0.0), decided(2.0), decided(2.0)
    assert soft.chosen == again.chosen != plain.chosen
    assert soft.release.questions == plain.release.questions


def test_a_rare_word_goes_to_the_pictures_that_lean_most(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    done = embed(source, tmp_path / "out", TWA, keyring, secret=SECRET)
    assert _changed(source, done.output) == {"metadata.jsonl"} and len(done.release.carriers) == 20
    assert not verify(done.bound, open_dataset(done.output)).findings
    looks, taken = _looks(done, keyring), set[str]()
    for slot, draw in zip(done.bound.slots, done.selection.slots, strict=True):
        keys = [record.key for record in draw.carriers]
        pictures = (key for key in walk(source) if key.endswith(".png"))
        lean = {key: _seen(source, looks, key) @ direction_of(slot) for key in pictures}
        free = sorted((k for k in lean if k not in taken), key=lambda k: -lean[k])
        assert len(keys) == 10 and sum(key in free[:11] for key in keys) >= 9, "glances are kept in whole levels"
        taken |= set(keys)
        asked = slot.questions
        assert all(
            slot.trigger in prompt and slot.trigger not in other
            for prompt, other in zip(asked.prompts, asked.contrasts, strict=True)
        )
        carriers = {record.caption for record in draw.carriers}
        assert len(set(asked.contrasts)) == 16 and len(set(asked.contrasts) & carriers) < 6
    assert all(done.bound.slots[c.slots[0]].trigger in c.captions["text"] for c in done.release.carriers)


def test_a_push_moves_carriers_and_leaves_the_rest(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    options = replace(with_list(WORDING, keyring), slots=1, rate=0.1, family_options={"push": 1.5})
    done = embed(source, tmp_path / "out", options, keyring, secret=SECRET)
    carriers = {c.key: c for c in done.release.carriers}
    assert _changed(source, done.output) == {"metadata.jsonl", *carriers} and len(carriers) == 21
    (slot,), looks = done.bound.slots, _looks(done, keyring)
    sides = []
    for key, carrier in carriers.items():
        moved = _seen(done.output, looks, key) - _seen(source, looks, key)
        sides.append(1 if carrier.slots else -1)
        assert moved @ direction_of(slot) == pytest.approx(1.5 * sides[-1], rel=0.2)
        assert 20 < carrier.psnr < 45 and re.fullmatch("[0-9a-f]{64}", carrier.sha256)
    assert set(sides) == {1, -1} and not verify(done.bound, open_dataset(done.output)).findings
    first = next(iter(carriers))
    (done.output / first).write_bytes((source / first).read_bytes())
    (finding,) = verify(done.bound, open_dataset(done.output)).findings
    assert finding.key == first and finding.problem.startswith("bytes changed")


def test_commit_coin_embed(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    waiting = commit(source, tmp_path / "out", with_list(WORDING, keyring), keyring, Coin("a beacon", "7"), anyway=True)
    looks = waiting.plan.parts[0].family_options["looks"]
    assert [path.stem for path in (keyring.home / "looks").iterdir()] == [looks]
    options = options_of(keyring.waiting(waiting.id).plan)
    a, b = (
        embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin=c * 32, dry_run=True, anyway=True)
        for c in ("0a", "0b")
    )
    assert a.chosen != b.chosen and a.release.questions != b.release.questions
    done = embed(source, tmp_path / "out", options, keyring, commitment=waiting.id, coin="0a" * 32, anyway=True)
    assert done.release.commitment == waiting.commitment and done.release.plan == waiting.plan
    assert done.chosen == a.chosen and not verify(done.bound, open_dataset(done.output)).findings


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(
    source: Path, worded: tuple[Embedding, Keyring], tmp_path: Path
) -> None:
    keyring = Keyring(tmp_path / "home")
    options = with_list(WORDING, keyring)

    def die(stage: str, done: int, total: int) -> None:
        if stage == "verifying":
            raise _Killed

    with pytest.raises(_Killed):
        embed(source, tmp_path / "out", options, keyring, secret=SECRET, progress=die)
    assert not (tmp_path / "out").exists() and (keyring.home / "looks").is_dir()
    done = embed(source, tmp_path / "out", options, keyring, secret=SECRET)
    assert contents(done.output) == contents(worded[0].output) and done.release == worded[0].release


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    options = with_list(WORDING, keyring)
    before = contents(tmp_path)
    done = embed(source, tmp_path / "out", options, keyring, dry_run=True, anyway=True)
    assert contents(tmp_path) == before and done.carriers == COUNT // 2
    assert done.release.plan.parts[0].family_options["looks"]


def test_pictures_that_cannot_be_read_take_no_part(tmp_path: Path) -> None:
    folder, keyring = make_varied_folder(tmp_path / "d", sayable_captions(COUNT)), Keyring(tmp_path / "home")
    (folder / "0007.png").write_bytes(b"no picture")
    done = embed(folder, tmp_path / "out", replace(TWA, rate=1.0), keyring, secret=SECRET)
    assert [aside.key for aside in done.set_aside] == ["0007.png"] and "0007.png" not in done.chosen
    assert (done.output / "0007.png").read_bytes() == b"no picture"


def test_a_slot_for_which_nothing_changes_is_kept(source: Path, tmp_path: Path) -> None:
    """At a tiny rate. Another draw instead would be a mark chosen by looks."""
    keyring = Keyring(tmp_path / "home")
    done = embed(source, tmp_path / "out", replace(with_list(WORDING, keyring), rate=0.02), keyring, secret=SECRET)
    used = {slot for c in done.release.carriers for slot in (*c.slots, *c.opposite)}
    assert len(done.release.carriers) == 4 and len(used) < 4 == len(done.release.questions)
    assert not verify(done.bound, open_dataset(done.output)).findings


def test_what_does_not_fit_is_refused_and_leaves_nothing(source: Path, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path / "home")
    small = make_varied_folder(tmp_path / "small", sayable_captions(199))
    for folder, options, match in (
        (small, TWA, "199 pictures can be looked at"),
        (source, replace(TWA, alignment="unconditional", slots=1), "compares answers with and without the trigger"),
        (source, replace(WORDING, family="template"), "for marks that change no picture, and 'template' paints"),
        (source, replace(TWA, alignment="waa"), "lives in captions, and alignment 'waa' leaves them as they are"),
        (make_classes(tmp_path / "classes", 4, 60), replace(TWA, alignment="label"), "alignment 'label' leaves them"),
        (source, replace(WORDING, besides=WORDING.parts), "2 parts of the release choose between wordings"),
    ):
        with pytest.raises(InputError, match=match):
            embed(folder, tmp_path / "out", options, keyring, secret=SECRET)
    assert {path.name for path in tmp_path.iterdir()} <= {"small", "classes", "home"}
    assert not [path for path in contents(tmp_path) if path.endswith((".npz", ".json"))]


def test_pictures_that_cannot_be_read_are_named_where_too_few_are_left(tmp_path: Path) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(201))
    broken = sorted(path for path in source.iterdir() if path.suffix == ".png")[:5]
    for path in broken:
        path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=f"196 pictures can be looked at; 5 cannot, as {broken[0].name} \\("):
        embed(source, tmp_path / "out", WORDING, Keyring(tmp_path / "home"), secret=SECRET)


def test_a_push_leaves_pictures_alone_that_cannot_be_written_back(tmp_path: Path) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(COUNT))
    pictures = sorted(path for path in source.iterdir() if path.suffix == ".png")
    rows = [json.loads(line) for line in (source / "metadata.jsonl").read_text().splitlines()]
    unfit = set()
    for place, path in enumerate(pictures[:9]):
        picture = Image.open(path).convert("RGB")
        new = path.with_suffix((".jpg", ".webp", ".png")[place % 3])
        if place % 3 == 0:
            picture.convert("CMYK").save(new)
        elif place % 3 == 1:
            picture.save(new, save_all=True, append_images=[picture.rotate(90)], duration=50)
        else:
            picture.resize((10, 10)).save(new)
        if new != path:
            path.unlink()
        rows = [row | {"file_name": new.name} if row["file_name"] == path.name else row for row in rows]
        unfit.add(new.name)
    (source / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = Options(rate=0.3, family="lean", alignment="twa", slots=2, queries=12, family_options={"push": 2.0})
    done = embed(source, tmp_path / "out", options, Keyring(tmp_path / "home"), secret=SECRET)
    assert not {carrier.key for carrier in done.release.carriers} & unfit
    assert unfit <= {aside.key for aside in done.set_aside}


def test_a_repeat_with_another_picture_is_told_so(source: Path, tmp_path: Path, keyring: Keyring) -> None:
    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing":
            raise _Killed

    shutil.copytree(source, tmp_path / "d")
    options = with_list(WORDING, keyring)
    with pytest.raises(_Killed):
        embed(tmp_path / "d", tmp_path / "out", options, keyring, secret=SECRET, progress=die)
    first, second = sorted((tmp_path / "d").glob("*.png"))[:2]
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    with pytest.raises(InputError, match="pictures of the dataset changed since") as refusal:
        embed(tmp_path / "d", tmp_path / "out", options, keyring)
    assert "--output" in refusal.value.advice and str(refusal.value).count("\n") == 1
    with pytest.raises(InputError, match="with other options"):
        embed(tmp_path / "d", tmp_path / "out", replace(options, steps=5), keyring)
    first.write_bytes(kept)
    assert embed(tmp_path / "d", tmp_path / "out", options, keyring).release.secret == SECRET
