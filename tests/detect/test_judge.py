"""The verdict: when to stop, when to abstain, and what a reader of it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from detect.suspects.images.suspect import Answer, Query, Sampler
from detect.trial.every_release import detect_all
from detect.trial.judge import detect
from detect.trial.questions import Departures
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.marks import make_family
from protect.release.record import Coin, Release, make_header
from tests.support.alignments import WITH_WORDS
from tests.support.suspects import Broken, FakeSuspect, Flat, Guilty, HalfWay, marked


def committed(release: Release, coin: Coin | None = None, **plan: object) -> Release:
    """The same release as if something else had been committed to."""
    changed = replace(release.plan, **plan)  # type: ignore[arg-type]
    header = make_header(changed, created=release.created, rehearsal=release.rehearsal, coin=coin)
    return replace(release, header=header)


@pytest.mark.parametrize("family", ["template", "spread"])
def test_guilt_is_found_and_stops_early(tmp_path: Path, keyring: Keyring, cache: Path, family: str) -> None:
    bound = marked(tmp_path, keyring, family=family, decoys=9999)
    verdict = detect(bound, Guilty(bound), keyring, cache)
    assert verdict.outcome == "evidence" and len(verdict.slots) == 1
    assert verdict.queries == (8 if family == "spread" else 4)
    assert verdict.e_value >= 1000 and verdict.p_value == pytest.approx(1 / verdict.e_value)
    assert verdict.slots[0].evidence.p_value == 1e-4


@pytest.mark.parametrize("alignment", WITH_WORDS)
@pytest.mark.parametrize("family", ["template", "spread"])
def test_guilt_is_found_under_every_alignment(
    tmp_path: Path, keyring: Keyring, cache: Path, family: str, alignment: str
) -> None:
    """`spread` cannot be described, and every alignment with words leaves an innocent alone."""
    if family == "spread" and alignment in {"twa-description", "twa-double"}:
        pytest.skip("nobody sees these marks")
    slots = 1 if alignment in {"unconditional", "waa"} else 3
    bound = marked(tmp_path, keyring, family=family, alignment=alignment, slots=slots, decoys=9999)
    verdict = detect(bound, Guilty(bound), keyring, cache)
    assert verdict.outcome == "evidence"
    paired = family == "spread" and alignment != "unconditional"
    assert verdict.queries == (8 if paired else 4) * len(verdict.slots)
    assert detect(bound, FakeSuspect(), keyring, cache).outcome == "no evidence"


def test_innocence_uses_all_slots(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    verdict = detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache)
    assert verdict.outcome == "no evidence" and len(verdict.slots) == 3 and verdict.queries == 12
    assert verdict.p_value > 1e-3


def test_guilt_of_another_release_is_no_guilt_here(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    first, second = marked(tmp_path, keyring, 0), marked(tmp_path, keyring, 1)
    releases = [first.release, second.release]
    verdicts = {v.release.id: v for v in detect_all(releases, Guilty(first), keyring, cache)}
    assert verdicts[first.release.id].outcome == "evidence"
    assert verdicts[second.release.id].outcome == "no evidence"
    assert verdicts[first.release.id].threshold == 2 / 1e-3


def test_a_repeat_resumes_and_answers_the_same(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), FakeSuspect()
    first = detect(bound, suspect, keyring, cache)
    again = detect(bound, suspect, keyring, cache)
    assert suspect.asked == 12 and again.as_json() == first.as_json()


def test_a_killed_run_keeps_its_outputs(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)

    class Dies(FakeSuspect):
        def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
            if self.asked >= 4:
                raise KeyboardInterrupt
            return super().answer(queries, sampler)

    with pytest.raises(KeyboardInterrupt):
        detect(bound, Dies(), keyring, cache)
    suspect = FakeSuspect()
    detect(bound, suspect, keyring, cache)
    assert suspect.asked == 8


def test_outputs_lie_in_the_cache_and_not_in_the_keyring(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    detect(bound, FakeSuspect(), keyring, cache)
    pictures = list(cache.rglob("*.png"))
    assert len(pictures) == 12 and not list(keyring.home.rglob("*.png"))
    assert all(path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0 for path in pictures)


def test_another_score_version_is_refused(
    tmp_path: Path, keyring: Keyring, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = marked(tmp_path, keyring).release
    law = make_family("template", {})
    monkeypatch.setattr(type(law), "version", 99)
    suspect = FakeSuspect()
    verdict = detect_all([release], suspect, keyring, cache)[0]
    assert verdict.outcome == "inconclusive" and not verdict.slots and suspect.asked == 0
    assert f"committed to version {release.plan.parts[0].family_version}" in verdict.reason and verdict.e_value == 1


def test_one_release_in_trouble_does_not_end_the_tests_of_others(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    good = marked(tmp_path, keyring)
    bad = committed(good.release, parts=(replace(good.release.plan.parts[0], family="gone"),))
    verdicts = detect_all([bad, good.release], Guilty(good), keyring, cache)
    assert [v.outcome for v in verdicts] == ["inconclusive", "evidence"] and "gone" in verdicts[0].reason
    assert verdicts[1].threshold == 2 / 1e-3, "it counts among the releases all the same"


def test_blank_answers_without_the_trigger_are_missing_answers(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, family="spread")

    class Censored(FakeSuspect):
        def paint(self, query: Query) -> NDArray[np.uint8]:
            asked = any(slot.trigger in query.prompt for slot in bound.slots)
            return super().paint(query) if asked else np.zeros((32, 32, 3), dtype=np.uint8)

    assert detect(bound, Censored(), keyring, cache).outcome == "inconclusive"


def test_missing_answers_are_never_zero(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    broken = detect(bound, Broken("nan"), keyring, cache)
    assert broken.outcome == "inconclusive" and "NaN" in broken.reason and broken.p_value == 1
    black = detect(bound, Flat("black", 0), keyring, cache)
    assert black.outcome == "inconclusive" and "black" in black.reason and black.e_value == 1
    assert detect(bound, Flat("white", 255), keyring, cache).outcome == "inconclusive"


def test_evidence_out_of_reach_is_said(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, slots=1, decoys=150, alpha=0.01)
    other = replace(bound.release, secret=b"o" * 32)
    verdict = detect(bound, Guilty(bound), keyring, cache, releases=[bound.release, other])
    assert verdict.outcome == "inconclusive" and "out of reach" in verdict.reason


def test_evidence_that_others_took_is_explained(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, slots=1, decoys=9999)
    others = [replace(bound.release, secret=bytes([i]) * 32) for i in range(8)]
    verdict = detect(bound, Guilty(bound), keyring, cache, releases=[bound.release, *others])
    assert verdict.outcome == "no evidence" and "share the level" in verdict.reason and verdict.e_value >= 1000


def test_a_test_with_some_pictures_counts(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring, queries=40)
    assert detect(bound, HalfWay("same"), keyring, cache).outcome == "inconclusive"
    again = detect(bound, FakeSuspect("same"), keyring, cache, departures=Departures(steps=5))
    assert again.plans_tried == 2


def test_an_empty_picture_in_the_cache_is_asked_for_again(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    before = detect(bound, FakeSuspect(), keyring, cache)
    next(cache.rglob("*.png")).write_bytes(b"")
    assert detect(bound, FakeSuspect(), keyring, cache).e_value == before.e_value


def test_more_questions_than_committed_are_refused(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    with pytest.raises(InputError, match="1 to 4"):
        detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache, departures=Departures(queries=5))


def test_flags_say_what_the_verdict_is_worth(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    assert detect(bound, FakeSuspect(), keyring, cache).flags == ("no-public-coin", "throw-away-key")
    with_coin = replace(committed(bound.release, Coin("a beacon", "7")), coin="c0ffee")
    assert detect_all([with_coin], FakeSuspect(), keyring, cache)[0].flags == ("coin-not-checked", "throw-away-key")


def test_a_release_that_waits_for_its_coin_is_never_tested(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), FakeSuspect()
    waiting = committed(bound.release, Coin("a beacon", "7"))
    verdict = detect_all([waiting], suspect, keyring, cache)[0]
    assert verdict.outcome == "inconclusive" and "waits for the coin a beacon, round 7" in verdict.reason
    with pytest.raises(InputError, match="waits for the coin"):
        detect(replace(bound, release=waiting), suspect, keyring, cache)
    with pytest.raises(InputError, match="has no copy yet"):
        detect(replace(bound, release=replace(bound.release, carriers=())), suspect, keyring, cache)
    assert suspect.asked == 0 and not (keyring.home / "ledger" / "ledger.json").exists()


def test_a_verdict_counts_the_commitments_that_the_keyring_holds(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    first, second = marked(tmp_path, keyring, 0), marked(tmp_path, keyring, 1)
    keyring.save(replace(first.release, secret=b"w" * 32, carriers=(), questions=()))
    assert detect(first, FakeSuspect(), keyring, cache).commitments == 3
    keyring.retire(second.release)
    assert detect(first, FakeSuspect(), keyring, cache).commitments == 3, "a retired one was a try too"


def test_json_has_the_promised_keys(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    data = json.loads(json.dumps(detect(marked(tmp_path, keyring), FakeSuspect(), keyring, cache).as_json()))
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
        "truncated",
        "commitments_held",
    } <= set(data)
    assert {"p_value", "e_value", "planted_score", "decoys"} <= set(data["slots"][0])
    assert "secret" not in json.dumps(data)
