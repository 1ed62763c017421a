"""What verdicts say of the public coin: only what was checked counts as checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from detect.reports.words import in_words, summary
from detect.trial.every_release import detect_all
from detect.trial.judge import detect
from protect.keys.beacon import BEACONS
from protect.keys.keyring import Keyring
from protect.keys.stamps import keep
from protect.keys.timestamp import request_for
from protect.release.bound import bind
from protect.release.record import Coin, Release, make_header
from tests.support.authorities import make_authority
from tests.support.beacons import BEACON, round_value
from tests.support.suspects import FakeSuspect, Guilty, marked


@pytest.fixture(autouse=True)
def own_beacon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BEACONS, BEACON.name, BEACON)


def _with_coin(tmp_path: Path, keyring: Keyring, number: int, value: str) -> Release:
    release = marked(tmp_path, keyring, decoys=9999).release
    header = make_header(release.plan, created=release.created, rehearsal=False, coin=Coin(BEACON.name, str(number)))
    return replace(release, header=header, coin=value)


def test_a_coin_that_was_checked_is_said_to_be_in_the_first_lines(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    authority = make_authority(tmp_path / "authority")
    to_come = 10**9
    release = _with_coin(tmp_path, keyring, to_come, round_value(to_come))
    bound = bind(release, keyring.store)
    alone = detect(bound, Guilty(bound), keyring, cache)
    assert alone.flags == ("coin-not-checked",) and "which was not checked: look it up" in in_words(alone)
    keep(
        keyring, release.id, authority.reply(request_for(release.commitment.encode()).body), authority.root.read_bytes()
    )
    dated = detect(bound, Guilty(bound), keyring, cache)
    assert dated.outcome == "evidence" and dated.flags == ("coin-checked",)
    assert "flags: coin-checked" in summary(dated).splitlines()[2] and "which was checked" in in_words(dated)
    assert "The commitment is older" in dated.coin and dated.as_json()["coin"] == dated.coin


def test_a_coin_that_is_not_its_rounds_value_ends_the_test_before_a_question(
    tmp_path: Path, keyring: Keyring, cache: Path
) -> None:
    release, suspect = _with_coin(tmp_path, keyring, 7, round_value(8)), FakeSuspect()
    (verdict,) = detect_all([release], suspect, keyring, cache)
    assert verdict.outcome == "inconclusive" and "is not the value of test beacon, round 7" in verdict.reason
    assert verdict.flags == () and suspect.asked == 0


def test_a_verdict_says_how_many_commitments_came_before(tmp_path: Path, keyring: Keyring, cache: Path) -> None:
    first, second = marked(tmp_path, keyring, 0).release, marked(tmp_path, keyring, 1).release
    older, younger = sorted((first, second), key=lambda release: (release.created, release.commitment))
    counts = [detect(bind(r, keyring.store), FakeSuspect(), keyring, cache) for r in (older, younger)]
    assert [(verdict.commitments_before, verdict.commitments) for verdict in counts] == [(0, 2), (1, 2)]
    assert "commitments in the keyring: 2, 1 of them before this one" in summary(counts[1])
