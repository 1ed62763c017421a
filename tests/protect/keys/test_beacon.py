"""Values of randomness beacons, checked offline."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

import pytest

from protect.errors import InputError
from protect.keys.beacon import QUICKNET, parse_round
from tests.support.beacons import BEACON, round_value

KNOWN = {
    1000: "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
    1001: "b33bf3667cbd5a82de3a24b4e0e9fe5513cc1a0e840368c6e31f5fcfa79bea03f73896b25883abf2853d10337fb8fa41",
}
"""Rounds of the real network, as it published them."""


def test_what_the_network_published_passes_for_its_own_round_only() -> None:
    for number, value in KNOWN.items():
        QUICKNET.check(number, value)
        for other in (number + 5, 2001 - number):
            with pytest.raises(InputError, match=f"is not the value of drand quicknet, round {other}"):
                QUICKNET.check(other, value)


def test_no_other_spelling_of_a_value_passes() -> None:
    """Every bit turned over: one value per round, or an owner could choose among several."""
    value = bytes.fromhex(KNOWN[1000])
    for bit in range(8 * len(value)):
        changed = bytearray(value)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InputError, match="is not the value"):
            QUICKNET.check(1000, changed.hex())
    for length in (16, 47, 49, 96):
        with pytest.raises(InputError, match="is not the value"):
            QUICKNET.check(1000, (value * 2)[:length].hex())
    with pytest.raises(InputError, match="is not the value"):
        QUICKNET.check(1000, "c0" + 94 * "0")


def test_the_randomness_in_place_of_the_signature_is_told() -> None:
    with pytest.raises(InputError, match="which nobody can check") as refusal:
        QUICKNET.check(1000, "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd")
    assert f"{QUICKNET.address}1000" in refusal.value.advice and "96 digits" in refusal.value.advice


def test_a_beacon_of_our_own_for_tests() -> None:
    BEACON.check(7, round_value(7))
    with pytest.raises(InputError):
        QUICKNET.check(7, round_value(7))


def test_times_of_rounds() -> None:
    assert QUICKNET.time_of(1) == datetime(2023, 8, 23, 15, 9, 27, tzinfo=UTC)
    for seconds in (-100, 0, 1, 2, 3, 10**8, 10**8 + 1):
        time = datetime.fromtimestamp(QUICKNET.genesis, UTC) + timedelta(seconds=seconds)
        number = QUICKNET.round_after(time)
        assert QUICKNET.time_of(number) > time and (number == 1 or QUICKNET.time_of(number - 1) <= time)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "1e3", "01", "١٢", "latest", "9" * 5000])
def test_rounds_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="is not a round of drand quicknet"):
        parse_round(QUICKNET, text)
    assert parse_round(QUICKNET, "12") == 12


def test_without_the_package_the_line_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py_arkworks_bls12381", None)
    with pytest.raises(InputError, match=r"tracemark\[beacon\]"):
        QUICKNET.check(1000, KNOWN[1000])
