"""What looking more than once costs: further plans, further releases, controls, and tests that gave nothing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from detect.trial.every_release import detect_all
from detect.trial.judge import detect
from detect.trial.ledger import commitments_held
from detect.trial.questions import Departures
from protect.embed.pending import Pending
from protect.errors import InputError, ReleaseError
from protect.keys.keyring import Keyring
from tests.support.suspects import Broken, FakeSuspect, Guilty, marked


def test_further_plans_cost_half_the_level_each(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), FakeSuspect()
    levels = [
        detect(bound, suspect, keyring, cache, departures=d).alpha
        for d in (Departures(), Departures(steps=5), Departures(queries=2), Departures(steps=5), Departures())
    ]
    assert levels == [1e-3, 5e-4, 2.5e-4, 5e-4, 1e-3]
    flagged = detect(bound, suspect, keyring, cache, departures=Departures(steps=5))
    assert "further-plan-1" in flagged.flags


def test_another_base_is_a_further_plan_and_suspects_are_counted(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    assert detect(bound, FakeSuspect("lora", base="a"), keyring, cache).alpha == 1e-3
    assert detect(bound, FakeSuspect("lora", base="b"), keyring, cache).alpha == 5e-4
    verdict = detect(bound, FakeSuspect("other"), keyring, cache)
    assert verdict.alpha == 1e-3 and verdict.suspects_tested == 2


def test_another_scheduler_or_library_is_a_further_plan(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound, suspect = marked(tmp_path, keyring), FakeSuspect()
    detect(bound, suspect, keyring, cache)
    suspect.identity["scheduler"] = "another"
    verdict = detect(bound, suspect, keyring, cache)
    assert verdict.alpha == 5e-4 and verdict.plans_tried == 2


def test_a_repeat_keeps_its_threshold_and_later_releases_count_earlier_ones(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    first, second = marked(tmp_path, keyring, 0), marked(tmp_path, keyring, 1)
    suspect = FakeSuspect()
    together = detect_all([first.release, second.release], suspect, keyring, cache)
    assert [v.threshold for v in together] == [2000, 2000]
    assert detect(first, suspect, keyring, cache).threshold == 2000
    other = FakeSuspect("other")
    assert [detect(b, other, keyring, cache).threshold for b in (first, second, first)] == [1000, 2000, 1000]


def test_calls_one_after_the_other_spend_twice_the_level_at_most(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = [marked(tmp_path, keyring, seed) for seed in range(4)]
    releases = [b.release for b in bound]
    suspect = FakeSuspect()
    levels = [1 / detect(b, suspect, keyring, cache).threshold for b in bound]
    assert levels == [1e-3, 5e-4, 2.5e-4, 1.25e-4]
    other = FakeSuspect("other")
    assert [v.threshold for v in detect_all(releases[:2], other, keyring, cache)] == [2000, 2000]
    assert [v.threshold for v in detect_all(releases, other, keyring, cache)] == [2000, 2000, 4000, 4000]


def test_a_test_without_pictures_costs_no_level(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    assert detect(bound, Broken("guilty", base="elsewhere"), keyring, cache).outcome == "inconclusive"
    verdict = detect(bound, Guilty(bound), keyring, cache)
    assert verdict.outcome == "evidence" and verdict.threshold == 1000 and verdict.plans_tried == 1


def test_an_unlucky_key_is_no_evidence(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    verdict = detect(bound, Guilty(bound), keyring, cache, control=Guilty(bound, "control"))
    assert verdict.outcome == "inconclusive" and "unlucky key" in verdict.reason
    without = detect(bound, Guilty(bound), keyring, cache)
    assert without.outcome == "inconclusive", "leaving the control out does not help"


def test_a_clean_control_leaves_evidence_standing(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    honest = detect(bound, Guilty(bound), keyring, cache, control=FakeSuspect("clean"))
    assert honest.outcome == "evidence" and honest.control_e_value is not None and honest.control_e_value < 1000


def test_an_unlucky_control_is_remembered_beside_a_clean_one_of_the_same_name(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    bound = marked(tmp_path, keyring)
    clean, unlucky = FakeSuspect("clean"), Guilty(bound, "unlucky")
    clean.name = unlucky.name = "model"
    assert detect(bound, Guilty(bound), keyring, cache, control=clean).outcome == "evidence"
    assert detect(bound, Guilty(bound), keyring, cache, control=unlucky).outcome == "inconclusive"
    assert detect(bound, Guilty(bound), keyring, cache).outcome == "inconclusive"


def test_the_suspect_is_no_control_of_itself(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    with pytest.raises(InputError, match="suspect's own weights"):
        detect(bound, Guilty(bound), keyring, cache, control=Guilty(bound))
    assert detect(bound, Guilty(bound), keyring, cache).outcome == "evidence"


def test_a_damaged_ledger_is_refused(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    bound = marked(tmp_path, keyring)
    detect(bound, FakeSuspect(), keyring, cache)
    path = keyring.home / "ledger" / "ledger.json"
    whole = json.loads(path.read_bytes())
    rows = {"subjects": [], "looks": [{"release": "x"}], "controls": []}
    for damaged in ("", "[]", json.dumps(rows), json.dumps(whole["looks"])):
        path.write_text(damaged)
        with pytest.raises(ReleaseError, match="damaged ledger"):
            detect(bound, FakeSuspect("other"), keyring, cache)
    path.write_text(json.dumps(whole))
    assert detect(bound, FakeSuspect("other"), keyring, cache).suspects_tested == 2


def test_each_commitment_in_the_keyring_counts_once(tmp_path: Path, keyring: Keyring) -> None:
    release, other = marked(tmp_path, keyring, 0).release, marked(tmp_path, keyring, 1).release
    waiting = dataclasses.replace(other, carriers=(), questions=())
    keyring.retire(other)
    keyring.save(waiting)  # a run was stopped before it could forget these
    Pending.of(keyring, tmp_path / "out0").save(release)
    assert commitments_held(keyring) == 2
    pending = Pending.of(keyring, tmp_path / "elsewhere")
    pending.save(release)
    pending.record.write_text("[" * 100_000)
    (keyring.folder("commitments") / "0123.json").write_text("{")
    assert commitments_held(keyring) == 4, "damaged ones count, too"
