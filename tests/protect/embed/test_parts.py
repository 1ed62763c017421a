"""Releases of several parts: slots numbered through, painted carriers apart, words under triggers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from protect.embed.verify import verify
from protect.embed.write import embed
from protect.formats import open_dataset
from protect.formats.walk import walk
from protect.keys.keyring import Keyring
from protect.release.bound import bind
from protect.release.plan import Options
from protect.release.stored import from_json, to_json
from tests.support.datasets import make_folder, recaption, varied_captions
from tests.support.lean_releases import COUNT, PAINTED, SECRET, WORDING, site_of
from tests.support.leaning import make_varied_folder, sayable_captions, store_phrases


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Read only."""
    return make_varied_folder(tmp_path_factory.mktemp("source") / "d", sayable_captions(COUNT))


def _changed(before: Path, after: Path) -> set[str]:
    assert list(walk(before)) == list(walk(after))
    return {key for key in walk(before) if (before / key).read_bytes() != (after / key).read_bytes()}


def _rows(folder: Path) -> list[bytes]:
    return (folder / "metadata.jsonl").read_bytes().splitlines()


@pytest.mark.parametrize("painted_first", [False, True])
def test_two_kinds_of_marks_in_one_release(source: Path, tmp_path: Path, painted_first: bool) -> None:
    keyring = Keyring(tmp_path / "home")
    phrases = ("a picture,a photo,start", "the picture,the photo,start", "of,showing", "with,having")
    lean = replace(WORDING, alignment_options={"wordings": store_phrases(tmp_path / "list", keyring.store, phrases)})
    options = replace(lean, besides=(PAINTED,))
    if painted_first:
        options = Options(
            rate=0.1, family="template", alignment="twa", slots=2, queries=4, decoys=99, alpha=0.05, besides=lean.parts
        )
    done = embed(source, tmp_path / "out", options, keyring, secret=SECRET)
    release, slots = done.release, done.bound.slots
    assert [slot.number for slot in slots] == list(range(6)) and release.plan.slots == 6 == len(release.questions)
    painted = {0, 1} if painted_first else {4, 5}
    assert {s.number for s in slots if s.family.name == "template"} == painted
    assert [len(s.questions.prompts) for s in slots] == [4 if s.number in painted else 24 for s in slots]
    assert len({slot.planted for slot in slots}) == 6 and len({tuple(slot.decoys[:3]) for slot in slots}) == 6
    changed = {c.key for c in release.carriers if painted & set(c.slots)}
    assert _changed(source, done.output) == {"metadata.jsonl", *changed} and len(changed) == 21
    assert not verify(done.bound, open_dataset(done.output)).findings
    old = {row["file_name"]: row["text"] for row in map(json.loads, _rows(source))}
    for carrier in release.carriers:
        text = old[carrier.key]
        for slot in slots:  # wordings first: a trigger at the beginning would hide a site that stands there
            if slot.number not in painted and slot.number in (*carrier.slots, *carrier.opposite):
                text = site_of(slot).turned(text, int(slot.number in carrier.slots))
        for slot in slots:
            if slot.number in painted and slot.number in carrier.slots:
                text = slot.alignment.align(text, slot.trigger)
        assert carrier.captions == {"text": text} and text != old[carrier.key]
    assert any(painted & set(c.slots) and set(c.slots) - painted for c in release.carriers), "they lie over each other"
    assert bind(from_json(to_json(release), tmp_path), keyring.store).slots[5].questions == slots[5].questions


def test_painted_parts_do_not_share_carriers(tmp_path: Path) -> None:
    source = recaption(make_folder(tmp_path / "d", 60), varied_captions(60))
    second = replace(PAINTED, family="spread", rate=0.4)
    options = Options(rate=0.4, alignment="twa", slots=1, decoys=99, alpha=0.05, besides=(second,))
    done = embed(source, tmp_path / "out", options, Keyring(tmp_path / "home"), secret=SECRET, dry_run=True)
    keys = [{record.key for record in draw.carriers} for draw in done.selection.slots]
    assert [len(slot) for slot in keys] == [24, 7, 7], "a rate is a share of what earlier parts left"
    assert len(set().union(*keys)) == 38
