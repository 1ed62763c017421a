"""The public coin: named before it is known, and believed only where it was checked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from protect.errors import InputError, ReleaseError
from protect.keys import beacon
from protect.keys.beacon import BEACONS, QUICKNET
from protect.keys.coin import (
    AHEAD,
    CHECKED,
    NO_PUBLIC_COIN,
    NOT_CHECKED,
    ON_REQUEST,
    TIMESTAMP,
    WINDOW,
    Committed,
    check_value,
    comes_out,
    draw_of,
    how_to_get,
    judge_coin,
    parse_coin,
)
from protect.keys.timestamp import Stamp
from protect.release.record import Coin
from tests.support.beacons import BEACON, round_value

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ROOT, DRAW = "ab" * 32, "cd" * 32
STAMP = Stamp(NOW, "CN=authority", ROOT, 7, "1.2.3", DRAW)


@pytest.fixture(autouse=True)
def own_beacon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BEACONS, BEACON.name, BEACON)


def test_a_beacon_by_its_name_is_a_round_a_day_from_now() -> None:
    for text in ("drand", " drand quicknet "):
        coin = parse_coin(text, NOW)
        out = comes_out(coin)
        assert coin.source == "drand quicknet" and out and timedelta(0) < out - (NOW + AHEAD) <= timedelta(seconds=3)
    assert parse_coin(f"drand quicknet:{coin.round}", NOW) == coin
    assert QUICKNET.address in how_to_get(coin) and "--coin VALUE" in how_to_get(coin)


def test_a_round_that_is_out_or_nearly_so_is_refused() -> None:
    first = QUICKNET.round_after(NOW)
    for number, message in ((1000, "is known already"), (first - 1, "is known already"), (first + 3, "sooner than")):
        with pytest.raises(InputError, match=message) as refusal:
            parse_coin(f"drand quicknet:{number}", NOW)
        assert str(QUICKNET.round_after(NOW + AHEAD)) in refusal.value.advice
    assert parse_coin(f"drand quicknet:{first + 60}", NOW).round == str(first + 60)


@pytest.mark.parametrize(
    "text", ["", "other", "other:", ":5", "a\nb:5", "timestamp:5", "drand quicknet:x", "drand quicknet:0"]
)
def test_texts_that_name_no_coin(text: str) -> None:
    with pytest.raises(InputError):
        parse_coin(text, NOW)


def test_other_sources_are_taken_as_they_are() -> None:
    assert parse_coin("a lottery: 2026-12-01", NOW) == Coin("a lottery", "2026-12-01")
    assert comes_out(Coin("a lottery", "1")) is None is comes_out(None)


def test_values_are_checked_where_they_can_be() -> None:
    named = Coin(BEACON.name, "5")
    assert check_value(named, round_value(5).upper(), "") == round_value(5)
    with pytest.raises(InputError, match="is not the value of test beacon, round 5"):
        check_value(named, round_value(6), "")
    assert check_value(Coin("a lottery", "1"), "AB" * 16, "") == "ab" * 16
    drawn = Coin(TIMESTAMP, ROOT)
    assert check_value(drawn, DRAW, DRAW) == DRAW
    for known in ("", "ef" * 32):
        with pytest.raises(InputError, match="comes with its timestamp"):
            check_value(drawn, DRAW, known)


def _beacon_case(stamped: timedelta | None, number: int = 5) -> tuple[Committed, list[Stamp]]:
    out = BEACON.time_of(number)
    committed = Committed("00" * 32, out - AHEAD, Coin(BEACON.name, str(number)), round_value(number))
    return committed, [replace(STAMP, time=out + stamped)] if stamped is not None else []


def test_a_beacon_counts_if_the_commitment_is_shown_to_be_older() -> None:
    assert judge_coin(*_beacon_case(-timedelta(hours=1))).flags == (CHECKED,)
    for stamped in (None, timedelta(seconds=1), timedelta(days=3), timedelta(0), -WINDOW + timedelta(seconds=1)):
        state = judge_coin(*_beacon_case(stamped))
        assert state.flags == (NOT_CHECKED,) and "Whether the commitment is older was not checked" in state.sentence
    late_and_early = [*_beacon_case(timedelta(days=1))[1], *_beacon_case(-timedelta(hours=1))[1]]
    assert judge_coin(_beacon_case(None)[0], late_and_early).flags == (CHECKED,)


def test_a_value_of_another_round_ends_the_matter() -> None:
    committed, stamps = _beacon_case(-timedelta(hours=1))
    with pytest.raises(ReleaseError, match="is not the value of test beacon, round 5"):
        judge_coin(replace(committed, value=round_value(6)), stamps)


def test_without_the_package_nothing_is_called_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beacon.importlib.util, "find_spec", lambda name: None)
    state = judge_coin(*_beacon_case(-timedelta(hours=1)))
    assert state.flags == (NOT_CHECKED,) and "tracemark[beacon]" in state.sentence


def _drawn(**changes: object) -> Committed:
    return replace(Committed("00" * 32, NOW, Coin(TIMESTAMP, ROOT), DRAW), **changes)  # type: ignore[arg-type]


def test_a_coin_drawn_by_a_timestamp_is_checked_and_said_to_be_on_request() -> None:
    state = judge_coin(_drawn(), [STAMP])
    assert state.flags == (CHECKED, ON_REQUEST) and "only the authority knows" in state.sentence
    other = replace(STAMP, draw="ee" * 32)
    assert judge_coin(_drawn(), [other, STAMP]).flags == (CHECKED, ON_REQUEST)


@pytest.mark.parametrize(
    "stamps",
    [
        [],
        [replace(STAMP, root="00" * 32)],
        [replace(STAMP, draw="ee" * 32)],
        [replace(STAMP, draw=None)],
        [replace(STAMP, time=NOW + WINDOW + timedelta(seconds=1))],
        [replace(STAMP, time=NOW - WINDOW - timedelta(seconds=1))],
    ],
)
def test_what_shows_no_such_draw(stamps: list[Stamp]) -> None:
    """No timestamp, another authority, another reply, no draw, and one that was asked for long after or before."""
    assert judge_coin(_drawn(), stamps).flags == (NOT_CHECKED,)
    assert "broken" in judge_coin(_drawn(), stamps, ["x.tsr: broken"]).sentence


def test_why_a_timestamp_gives_no_coin_is_told() -> None:
    for stamp, message in (
        (replace(STAMP, root="00" * 32), "names another authority"),
        (replace(STAMP, time=NOW + timedelta(hours=1)), "the coin was drawn 1:00:00 away"),
        (replace(STAMP, draw=None), "no coin can be made"),
    ):
        with pytest.raises(InputError, match=message) as refusal:
            draw_of(stamp, _drawn(value=""))
        assert str(refusal.value).count("\n") == 1


def test_no_coin_and_coins_that_nobody_here_can_check() -> None:
    assert judge_coin(Committed("00" * 32, NOW, None, ""), [STAMP]).flags == (NO_PUBLIC_COIN,)
    assert judge_coin(Committed("00" * 32, NOW, Coin("a lottery", "1"), "ab" * 16), [STAMP]).flags == (NOT_CHECKED,)
