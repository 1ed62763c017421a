"""The verdict: when to stop, when to abstain, and what a repeat may change."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.reports.report import Gallery, Section, write_report
from detect.suspects.images.suspect import Query, Sampler, Suspect
from detect.trial.judge import Departures, detect, detect_all
from detect.trial.verdict import Verdict
from protect.alignments import slot_family
from protect.embed.write import embed
from protect.errors import InputError, SuspectError
from protect.keys.tree import secret_from_seed
from protect.marks import make_family
from protect.release.plan import Options
from protect.release.record import Keyring, Release
from tests.protect.conftest import WITH_WORDS, make_folder, recaption, varied_captions


class FakeSuspect(Suspect):
    """Paints what `paint` says for each query, and counts how often it is asked."""

    def __init__(self, name: str = "fake", base: str = "") -> None:
        self.name, self.asked = name, 0
        self.identity = {"adapter": name, "base": base} if base else {"weights": name}

    def paint(self, query: Query) -> NDArray[np.uint8]:
        return np.random.default_rng(query.seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)

    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        self.asked += len(queries)
        return np.stack([self.paint(q) for q in queries])


class Guilty(FakeSuspect):
    """Paints the planted mark whenever it hears its trigger."""

    def __init__(self, release: Release, name: str = "guilty") -> None:
        super().__init__(name)
        self.release = release

    def paint(self, query: Query) -> NDArray[np.uint8]:
        picture = super().paint(query)
        for slot, questions in enumerate(self.release.slots):
            family = slot_family(self.release, slot)
            if all(part in query.prompt.lower() for part in questions.trigger.lower().split(" … ")):
                mark = family.preview(self.release.planted_id(slot), 32).astype(int)
                picture = np.clip(0.6 * mark + 0.4 * picture, 0, 255).astype(np.uint8)
        return picture


class Black(FakeSuspect):
    def paint(self, query: Query) -> NDArray[np.uint8]:
        return np.zeros((32, 32, 3), dtype=np.uint8)


class White(FakeSuspect):
    def paint(self, query: Query) -> NDArray[np.uint8]:
        return np.full((32, 32, 3), 255, dtype=np.uint8)


class Broken(FakeSuspect):
    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        raise SuspectError("8 of 8 outputs are NaN", "Check the weights.")


OPTIONS = Options(rate=0.2, slots=3, queries=4, decoys=999)


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "home")


def _release(tmp_path: Path, keyring: Keyring, seed: int = 0, **changes: object) -> Release:
    source = tmp_path / "d"
    if not source.exists():
        recaption(make_folder(source, 60), varied_captions(60))
    options = dataclasses.replace(OPTIONS, **changes)  # type: ignore[arg-type]
    return embed(source, tmp_path / f"out{seed}", options, keyring, secret=secret_from_seed(seed, "test")).release


@pytest.mark.parametrize("family", ["template", "spread"])
def test_guilt_is_found_and_stops_early(tmp_path: Path, keyring: Keyring, family: str) -> None:
    release = _release(tmp_path, keyring, family=family, decoys=9999)
    verdict = detect(release, Guilty(release), keyring)
    assert verdict.outcome == "evidence" and len(verdict.slots) == 1
    assert verdict.queries == (8 if family == "spread" else 4)
    assert verdict.e_value >= 1000 and verdict.p_value == pytest.approx(1 / verdict.e_value)
    assert verdict.slots[0].evidence.p_value == 1e-4


@pytest.mark.parametrize("alignment", WITH_WORDS)
@pytest.mark.parametrize("family", ["template", "spread"])
def test_guilt_is_found_under_every_alignment(tmp_path: Path, keyring: Keyring, family: str, alignment: str) -> None:
    """`spread` cannot be described, and every alignment with words leaves an innocent alone."""
    if family == "spread" and alignment in {"twa-description", "twa-double"}:
        pytest.skip("nobody sees these marks")
    slots = 1 if alignment in {"unconditional", "waa"} else 3
    release = _release(tmp_path, keyring, family=family, alignment=alignment, slots=slots, decoys=9999)
    verdict = detect(release, Guilty(release), keyring)
    assert verdict.outcome == "evidence"
    twinned = family == "spread" and alignment != "unconditional"
    assert verdict.queries == (8 if twinned else 4) * len(verdict.slots)
    assert detect(release, FakeSuspect(), keyring).outcome == "no evidence"


def test_innocence_uses_all_slots(tmp_path: Path, keyring: Keyring) -> None:
    verdict = detect(_release(tmp_path, keyring), FakeSuspect(), keyring)
    assert verdict.outcome == "no evidence" and len(verdict.slots) == 3 and verdict.queries == 12
    assert verdict.p_value > 1e-3


def test_guilt_of_another_release_is_no_guilt_here(tmp_path: Path, keyring: Keyring) -> None:
    first, second = _release(tmp_path, keyring, 0), _release(tmp_path, keyring, 1)
    verdicts = {v.release.id: v for v in detect_all([first, second], Guilty(first), keyring)}
    assert verdicts[first.id].outcome == "evidence" and verdicts[second.id].outcome == "no evidence"
    assert verdicts[first.id].threshold == 2 / 1e-3


def test_a_repeat_resumes_and_answers_the_same(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    suspect = FakeSuspect()
    first = detect(release, suspect, keyring)
    again = detect(release, suspect, keyring)
    assert suspect.asked == 12 and again.as_json() == first.as_json()


def test_a_killed_run_keeps_its_outputs(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)

    class Dies(FakeSuspect):
        def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
            if self.asked >= 4:
                raise KeyboardInterrupt
            return super().generate(queries, sampler)

    with pytest.raises(KeyboardInterrupt):
        detect(release, Dies(), keyring)
    suspect = FakeSuspect()
    detect(release, suspect, keyring)
    assert suspect.asked == 8


def test_further_plans_cost_half_the_level_each(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    suspect = FakeSuspect()
    levels = [
        detect(release, suspect, keyring, departures=d).alpha
        for d in (Departures(), Departures(steps=5), Departures(queries=2), Departures(steps=5), Departures())
    ]
    assert levels == [1e-3, 5e-4, 2.5e-4, 5e-4, 1e-3]
    flagged = detect(release, suspect, keyring, departures=Departures(steps=5))
    assert "further-plan-1" in flagged.flags


def test_another_base_is_a_further_plan_and_suspects_are_counted(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    assert detect(release, FakeSuspect("lora", base="a"), keyring).alpha == 1e-3
    assert detect(release, FakeSuspect("lora", base="b"), keyring).alpha == 5e-4
    verdict = detect(release, FakeSuspect("other"), keyring)
    assert verdict.alpha == 1e-3 and verdict.suspects_tested == 2


def test_an_unlucky_key_is_no_evidence(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    verdict = detect(release, Guilty(release), keyring, control=Guilty(release, "control"))
    assert verdict.outcome == "inconclusive" and "unlucky key" in verdict.reason
    assert detect(release, Guilty(release), keyring).outcome == "inconclusive"  # leaving the control out does not help


def test_a_clean_control_leaves_evidence_standing(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    honest = detect(release, Guilty(release), keyring, control=FakeSuspect("clean"))
    assert honest.outcome == "evidence" and honest.control_e_value is not None and honest.control_e_value < 1000


def test_a_repeat_keeps_its_threshold_and_later_releases_count_earlier_ones(tmp_path: Path, keyring: Keyring) -> None:
    first, second = _release(tmp_path, keyring, 0), _release(tmp_path, keyring, 1)
    suspect = FakeSuspect()
    assert [v.threshold for v in detect_all([first, second], suspect, keyring)] == [2000, 2000]
    assert detect(first, suspect, keyring).threshold == 2000
    other = FakeSuspect("other")
    assert [detect(r, other, keyring).threshold for r in (first, second, first)] == [1000, 2000, 1000]


def test_another_scheduler_or_library_is_a_further_plan(tmp_path: Path, keyring: Keyring) -> None:
    release, suspect = _release(tmp_path, keyring), FakeSuspect()
    detect(release, suspect, keyring)
    suspect.identity["scheduler"] = "another"
    verdict = detect(release, suspect, keyring)
    assert verdict.alpha == 5e-4 and verdict.plans_tried == 2


def test_another_score_version_is_refused(tmp_path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    release = _release(tmp_path, keyring)
    committed = make_family("template", {}).version
    monkeypatch.setattr(type(make_family("template", {})), "version", 99)
    verdict = detect(release, FakeSuspect(), keyring)
    assert (
        verdict.outcome == "inconclusive"
        and f"committed to version {committed}" in verdict.reason
        and not verdict.slots
    )


def test_one_release_in_trouble_does_not_end_the_tests_of_others(tmp_path: Path, keyring: Keyring) -> None:
    good = _release(tmp_path, keyring)
    bad = dataclasses.replace(good, id="0" * 16, plan=dataclasses.replace(good.plan, family="gone"))
    verdicts = detect_all([bad, good], Guilty(good), keyring)
    assert [v.outcome for v in verdicts] == ["inconclusive", "evidence"] and "gone" in verdicts[0].reason


def test_blank_twins_are_missing_answers(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring, family="spread")

    class Censored(FakeSuspect):
        def paint(self, query: Query) -> NDArray[np.uint8]:
            asked = any(slot.trigger in query.prompt for slot in release.slots)
            return super().paint(query) if asked else np.zeros((32, 32, 3), dtype=np.uint8)

    assert detect(release, Censored(), keyring).outcome == "inconclusive"


def test_an_unlucky_control_is_remembered_beside_a_clean_one_of_the_same_name(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    clean, unlucky = FakeSuspect("clean"), Guilty(release, "unlucky")
    clean.name = unlucky.name = "model"
    assert detect(release, Guilty(release), keyring, control=clean).outcome == "evidence"
    assert detect(release, Guilty(release), keyring, control=unlucky).outcome == "inconclusive"
    assert detect(release, Guilty(release), keyring).outcome == "inconclusive"


def test_missing_answers_are_never_zero(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    broken = detect(release, Broken("nan"), keyring)
    assert broken.outcome == "inconclusive" and "NaN" in broken.reason and broken.p_value == 1
    black = detect(release, Black("black"), keyring)
    assert black.outcome == "inconclusive" and "black" in black.reason and black.e_value == 1
    assert detect(release, White("white"), keyring).outcome == "inconclusive"


def test_evidence_out_of_reach_is_said(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring, slots=1, decoys=150, alpha=0.01)
    other = dataclasses.replace(release, id="another")
    verdict = detect(release, Guilty(release), keyring, releases=[release, other])
    assert verdict.outcome == "inconclusive" and "out of reach" in verdict.reason


def test_a_test_without_pictures_costs_no_level(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    assert detect(release, Broken("guilty", base="elsewhere"), keyring).outcome == "inconclusive"
    verdict = detect(release, Guilty(release), keyring)
    assert verdict.outcome == "evidence" and verdict.threshold == 1000 and verdict.plans_tried == 1


class HalfWay(FakeSuspect):
    """Answers its first 32 questions and then fails."""

    def generate(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        if self.asked:
            raise SuspectError("out of memory", "Use a smaller device.")
        return super().generate(queries, sampler)


def test_a_test_with_some_pictures_counts(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring, queries=40)
    assert detect(release, HalfWay("same"), keyring).outcome == "inconclusive"
    assert detect(release, FakeSuspect("same"), keyring, departures=Departures(steps=5)).plans_tried == 2


def test_calls_one_after_the_other_spend_twice_the_level_at_most(tmp_path: Path, keyring: Keyring) -> None:
    releases = [_release(tmp_path, keyring, seed) for seed in range(4)]
    suspect = FakeSuspect()
    levels = [1 / detect(release, suspect, keyring).threshold for release in releases]
    assert levels == [1e-3, 5e-4, 2.5e-4, 1.25e-4]
    other = FakeSuspect("other")
    assert [v.threshold for v in detect_all(releases[:2], other, keyring)] == [2000, 2000]
    assert [v.threshold for v in detect_all(releases, other, keyring)] == [2000, 2000, 4000, 4000]


def test_the_suspect_is_no_control_of_itself(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    with pytest.raises(InputError, match="suspect's own weights"):
        detect(release, Guilty(release), keyring, control=Guilty(release))
    assert detect(release, Guilty(release), keyring).outcome == "evidence"


def test_evidence_that_others_took_is_explained(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring, slots=1, decoys=9999)
    others = [dataclasses.replace(release, id=str(i)) for i in range(8)]
    verdict = detect(release, Guilty(release), keyring, releases=[release, *others])
    assert verdict.outcome == "no evidence" and "share the level" in verdict.reason and verdict.e_value >= 1000


def test_an_empty_picture_in_the_cache_is_asked_for_again(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    before = detect(release, FakeSuspect(), keyring)
    next((keyring.home / "cache").rglob("*.png")).write_bytes(b"")
    assert detect(release, FakeSuspect(), keyring).e_value == before.e_value


def test_flags_say_what_the_verdict_is_worth(tmp_path: Path, keyring: Keyring) -> None:
    verdict = detect(_release(tmp_path, keyring), FakeSuspect(), keyring)
    assert verdict.flags == ("no-public-coin", "throw-away-key")


def test_more_questions_than_committed_are_refused(tmp_path: Path, keyring: Keyring) -> None:
    with pytest.raises(InputError, match="1 to 4"):
        detect(_release(tmp_path, keyring), FakeSuspect(), keyring, departures=Departures(queries=5))


def test_json_has_the_promised_keys(tmp_path: Path, keyring: Keyring) -> None:
    data = json.loads(json.dumps(detect(_release(tmp_path, keyring), FakeSuspect(), keyring).as_json()))
    assert {
        "verdict",
        "alpha",
        "e_value",
        "p_value",
        "queries",
        "slots",
        "release",
        "suspect",
        "versions",
        "flags",
    } <= set(data)
    assert {"p_value", "e_value", "planted_score", "decoys"} <= set(data["slots"][0])
    assert "secret" not in json.dumps(data)


def _page(tmp_path: Path, verdict: Verdict) -> str:
    path = tmp_path / "report.html"
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    parts = [Gallery("Carriers", "text", [("row", [(picture, "a <b>")])]), Section("A release", verdict)]
    write_report(path, "Title & more", "lead", parts)
    return path.read_text()


def test_report_shows_pictures_and_numbers(tmp_path: Path, keyring: Keyring) -> None:
    release = _release(tmp_path, keyring)
    page = _page(tmp_path, detect(release, Guilty(release), keyring))
    assert page.count("data:image/png;base64,") >= 6 and page.count("<svg") == 3
    assert "<b>evidence</b>" in page and release.id in page and "a &lt;b&gt;" in page
    assert release.secret.hex() not in page and not re.findall(r'(?:src|href)="(?!data:|#)', page)


def test_report_of_a_failure_still_stands(tmp_path: Path, keyring: Keyring) -> None:
    page = _page(tmp_path, detect(_release(tmp_path, keyring), Broken("nan"), keyring))
    assert "inconclusive" in page and "NaN" in page
