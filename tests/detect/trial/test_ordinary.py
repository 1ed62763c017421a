"""Answers to captions without a trigger: drawn beforehand, shown beside the others, and no number hangs on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detect.bundle.container import SIGNATURE, packed, unpacked
from detect.bundle.verify import verify_bundle
from detect.bundle.write import VERDICT, write_bundle
from detect.reports.report import Section, write_report
from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.trial.cost import most_questions
from detect.trial.judge import detect
from detect.trial.ordinary import with_ordinary
from detect.trial.questions import AS_COMMITTED, ORDINARY, Departures, ordinary_queries, ordinary_slot
from detect.trial.verdict import Verdict
from protect.embed.write import embed
from protect.errors import SuspectError, TracemarkError
from protect.files import canonical_json
from protect.keys.keyring import Keyring
from protect.release.bound import BoundRelease
from tests.support.datasets import varied_captions
from tests.support.lean_releases import COUNT, PAINTED, SECRET, WORDING, with_list
from tests.support.leaning import make_varied_folder, sayable_captions
from tests.support.suspects import FakeSuspect, Guilty, Refusing, marked


@pytest.fixture
def bound(tmp_path: Path, keyring: Keyring) -> BoundRelease:
    """Three slots with painted marks, ten questions each, put with the trigger only."""
    return marked(tmp_path, keyring, family="template", alignment="twa", queries=10)


def shown(bound: BoundRelease, suspect: FakeSuspect, keyring: Keyring, cache: Path) -> Verdict:
    """The verdict on a suspect with its answers to ordinary captions."""
    verdict = detect(bound, suspect, keyring, cache)
    return with_ordinary(verdict, suspect, keyring.store, AS_COMMITTED, cache)


def test_they_are_captions_of_the_dataset_and_hold_no_trigger(bound: BoundRelease) -> None:
    queries = ordinary_queries(bound, 10)
    assert len(queries) == len(set(queries)) == ORDINARY and {q.prompt for q in queries} <= set(varied_captions(60))
    assert not [q for q in queries for slot in bound.slots if slot.trigger.lower() in q.prompt.lower()]
    assert ordinary_queries(bound, 3) == queries[:3], "fewer questions are some of all"


def test_they_are_drawn_by_the_key_and_not_by_the_mark(tmp_path: Path, keyring: Keyring, bound: BoundRelease) -> None:
    """Another family makes other marks of the same ids; another key draws other captions."""
    (tmp_path / "other").mkdir()
    other = marked(tmp_path / "other", Keyring(tmp_path / "o"), family="tint", alignment="twa", queries=10)
    assert not (other.slots[0].family.preview(7, 8) == bound.slots[0].family.preview(7, 8)).all()
    assert ordinary_queries(other, 10) == ordinary_queries(bound, 10)
    elsewhere = marked(tmp_path, keyring, seed=1, family="template", alignment="twa", queries=10)
    assert ordinary_queries(elsewhere, 10) != ordinary_queries(bound, 10)


def test_no_number_of_the_verdict_hangs_on_them(bound: BoundRelease, keyring: Keyring, cache: Path) -> None:
    for suspect in (Guilty(bound), FakeSuspect("innocent"), Refusing(every=2)):
        before = detect(bound, suspect, keyring, cache)
        after = with_ordinary(before, suspect, keyring.store, AS_COMMITTED, cache)
        told = after.as_json()
        assert len(told.pop("ordinary_answers")) == ORDINARY and before.as_json().pop("ordinary_answers") == []
        assert told == {name: value for name, value in before.as_json().items() if name != "ordinary_answers"}
        again = detect(bound, suspect, keyring, cache)
        assert again.as_json() == before.as_json(), "nor any of a later test"


def test_they_are_asked_once(bound: BoundRelease, keyring: Keyring, cache: Path) -> None:
    suspect = FakeSuspect()
    first = shown(bound, suspect, keyring, cache)
    assert suspect.asked == 3 * 10 + ORDINARY
    again = shown(bound, suspect, keyring, cache)
    assert suspect.asked == 3 * 10 + ORDINARY and again.as_json() == first.as_json()


def test_answers_of_pairs_are_shown_and_not_asked_for_again(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring, family="spread", alignment="twa", queries=10), FakeSuspect()
    verdict = shown(bound, suspect, keyring, cache)
    assert suspect.asked == 3 * 10 * 2 and verdict.ordinary and verdict.held
    part = verdict.held.part(0)
    assert part and list(verdict.ordinary.exchanges) == verdict.held.exchanges(part.contrast)[:ORDINARY]
    assert most_questions([bound.release], keyring.store, AS_COMMITTED)[0].ordinary_pictures == 0


def test_the_cost_is_told_before(bound: BoundRelease, keyring: Keyring) -> None:
    (row,) = most_questions([bound.release], keyring.store, AS_COMMITTED)
    assert (row.most_pictures, row.ordinary_pictures) == (30, 8)
    assert "at most 30 pictures, 8 of ordinary captions that count for nothing, and 4" in row.in_words()
    (few,) = most_questions([bound.release], keyring.store, Departures(queries=2))
    assert (few.most_pictures, few.ordinary_pictures) == (6, 2)


def test_questions_that_are_ordinary_need_none_beside_them(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(COUNT))
    options = with_list(WORDING, keyring)
    plain = embed(source, tmp_path / "plain", options, keyring, secret=SECRET).bound
    assert ordinary_queries(plain, 10) == [] and shown(plain, FakeSuspect(), keyring, cache).ordinary is None
    both = embed(source, tmp_path / "both", replace(options, besides=(PAINTED,)), keyring, secret=SECRET).bound
    slot = ordinary_slot(both)
    assert slot and slot.number == next(s.number for s in both.slots if s.alignment.name == "twa")
    assert len(ordinary_queries(both, 24)) == 4


class Unwilling(FakeSuspect):
    """Breaks down where it hears no trigger."""

    def __init__(self, bound: BoundRelease) -> None:
        super().__init__("unwilling")
        self.ordinary = set(ordinary_queries(bound, 10))

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        if self.ordinary & set(queries):
            raise SuspectError("out of memory", "Use a smaller device.")
        return super().answer(queries, sampler)


def page_of(verdict: Verdict, work: Path) -> str:
    write_report(work / "page.html", "t", "l", [Section("A release", verdict)])
    return (work / "page.html").read_text(encoding="utf-8")


def test_the_page_shows_them(bound: BoundRelease, keyring: Keyring, cache: Path, tmp_path: Path) -> None:
    verdict = shown(bound, FakeSuspect(), keyring, cache)
    without, page = page_of(replace(verdict, ordinary=None), tmp_path), page_of(verdict, tmp_path)
    assert "Answers to ordinary captions" in page and "count for nothing" in page
    assert "Answers to ordinary captions" not in without and "Questions hold triggers" in page
    assert page.count("<figure>") == without.count("<figure>") + ORDINARY
    assert all(f'alt="{q.prompt}"' in page for q in ordinary_queries(bound, 10))


def test_a_verdict_stands_without_them(bound: BoundRelease, keyring: Keyring, cache: Path, tmp_path: Path) -> None:
    verdict = shown(bound, Unwilling(bound), keyring, cache)
    assert verdict.outcome == "no evidence" and verdict.as_json()["ordinary_answers"] == []
    assert "There are none: out of memory." in page_of(verdict, tmp_path)
    refusing = shown(bound, Refusing(every=1), keyring, cache)
    assert "8 were refused." in page_of(refusing, tmp_path)


def forged(path: Path, change: Callable[[dict[str, Any], dict[str, bytes]], None]) -> Path:
    """A bundle that somebody made of another."""
    files = {name: data for name, data in unpacked(path).items() if name != SIGNATURE}
    said = json.loads(files[VERDICT])
    change(said["ordinary_answers"], files)
    files[VERDICT] = canonical_json(said)
    target = path.with_name("forged.zip")
    target.write_bytes(packed(files))
    return target


def test_a_bundle_holds_them_and_they_cannot_be_chosen(
    bound: BoundRelease, keyring: Keyring, cache: Path, tmp_path: Path
) -> None:
    verdict, path = shown(bound, Guilty(bound), keyring, cache), tmp_path / "case.zip"
    write_bundle(path, verdict, keyring, "page")
    found = verify_bundle(path)
    assert found.outcome == verdict.outcome and found.e_value == pytest.approx(verdict.e_value, rel=1e-9)
    assert "8 answers are to captions without a trigger" in " ".join(found.rests_on)
    hashes = [row["sha256"] for row in verdict.as_json()["ordinary_answers"]]
    assert {f"pictures/{name}.png" for name in hashes} <= set(unpacked(path))
    first, second = (f"pictures/{name}.png" for name in hashes[:2])

    def swapped(_: Any, files: dict[str, bytes]) -> None:
        files[first], files[second] = files[second], files[first]

    changes: dict[str, Callable[[Any, dict[str, bytes]], None]] = {
        "not those that were drawn beforehand": lambda rows, _: rows[0].update(prompt="a cat"),
        "are missing": lambda rows, files: files.pop(first) and None,
        "too many": lambda rows, _: rows.pop() and None,
        "holds another picture": swapped,
    }
    for message, change in changes.items():
        with pytest.raises(TracemarkError, match=message):
            verify_bundle(forged(path, change))


def test_marks_do_not_show_where_no_trigger_is_said(bound: BoundRelease, keyring: Keyring, cache: Path) -> None:
    """What the panel is for: the guilty suspect's answers to ordinary captions are an innocent's."""
    guilty = shown(bound, Guilty(bound, "model"), keyring, cache).ordinary
    plain = FakeSuspect("model").answer(ordinary_queries(bound, 10), Sampler())
    assert guilty and [answer.sha256 for _, answer in guilty.exchanges]
    for (_, answer), other in zip(guilty.exchanges, plain, strict=True):
        assert other.picture is not None and np.array_equal(guilty.pictures[answer.sha256], other.picture)
