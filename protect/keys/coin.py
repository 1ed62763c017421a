"""The public coin: named in the commitment, known later, checked offline where that can be done.

Two kinds can be checked. The value of a beacon's round is checked against the beacon's public key, and a timestamp
shows that the commitment is older than the round. A timestamp authority's signature under the commitment can be the
coin itself; then each further request would have been another draw, and only the authority knows how many there were.
So such a coin must be drawn within two minutes of the commitment's own date, and verdicts say `coin-on-request`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from protect.errors import InputError, ReleaseError
from protect.keys.beacon import BEACONS, QUICKNET, can_check, parse_round
from protect.keys.coin_value import parse_coin_value
from protect.keys.timestamp import Stamp
from protect.keys.tree import NO_COIN
from protect.release.record import Coin, Release

TIMESTAMP = "timestamp"
"""Source of a coin whose round is the fingerprint of the authority's root certificate."""
WINDOW = timedelta(minutes=2)
"""How far two clocks may differ, and how long an authority can be asked for a coin."""
AHEAD = timedelta(days=1)
"""How long after the commitment a round comes out if the owner names none: there must be time to publish."""
TO_COME = "coin-to-come"
"""What is said of a commitment before its coin is known. No verdict says so: no coin entered the marks then."""
NO_PUBLIC_COIN, NOT_CHECKED, CHECKED, ON_REQUEST = (
    "no-public-coin",
    "coin-not-checked",
    "coin-checked",
    "coin-on-request",
)


def parse_coin(text: str, now: datetime | None = None) -> Coin:
    """A coin as an owner names it: SOURCE:ROUND, or a beacon's name alone for a round a day from now.

    Args:
        text: what was given.
        now: UTC; the time on this machine if None.

    Raises:
        InputError: if it is written otherwise, or the value of that round is known already.

    >>> parse_coin("the weather service's digest:2030-01-01")
    Coin(source="the weather service's digest", round='2030-01-01')
    """
    now = now or datetime.now(UTC)
    if leaves_round_open(text):
        beacon = BEACONS.get(text.strip(), QUICKNET)
        return Coin(beacon.name, str(beacon.round_after(now + AHEAD)))
    found = re.fullmatch(r"\s*(.*\S)\s*:\s*(\S+)\s*", text)
    if not (found and text.isprintable()) or found[1] == TIMESTAMP:
        raise InputError(
            f"--coin-from {text!r} is neither drand, nor timestamp, nor SOURCE:ROUND",
            "For example: --coin-from drand, for a round a day from now.",
        )
    coin = Coin(found[1], found[2])
    if coin.source in BEACONS:
        _check_to_come(coin, now)
    return coin


def leaves_round_open(text: str) -> bool:
    """Whether an owner names a beacon alone, so that its round follows from the time."""
    return text.strip() in ("drand", *BEACONS)


def _check_to_come(coin: Coin, now: datetime) -> None:
    beacon = BEACONS[coin.source]
    out = beacon.time_of(parse_round(beacon, coin.round))
    if out <= now + WINDOW:
        known = "its value is known already" if out <= now else f"that is sooner than {WINDOW} from now"
        raise InputError(
            f"round {coin.round} of {coin.source} is dated {out:%Y-%m-%d %H:%M:%S} UTC: {known}",
            f"Name one to come, such as {beacon.round_after(now + AHEAD)}, or leave the round out.",
        )


def comes_out(coin: Coin | None) -> datetime | None:
    """When a coin's value comes out, UTC; None if this program does not know."""
    if coin is None or coin.source not in BEACONS:
        return None
    beacon = BEACONS[coin.source]
    return beacon.time_of(parse_round(beacon, coin.round))


def how_to_get(coin: Coin) -> str:
    """What an owner does to give a release its coin."""
    if coin.source == TIMESTAMP:
        return "It comes with the first timestamp: protect timestamp."
    out, place = comes_out(coin), where_to_look(coin)
    return f"Give its value, {place}, after {out:%Y-%m-%d %H:%M:%S} UTC: --coin VALUE." if out else "Give --coin VALUE."


def where_to_look(coin: Coin) -> str:
    """Where a coin's value is found, for people; empty if this program does not know."""
    return f"the field “signature” of {BEACONS[coin.source].address}{coin.round}" if coin.source in BEACONS else ""


def check_value(coin: Coin, text: str, known: str) -> str:
    """The value that an owner gives for a coin, in its one spelling.

    Args:
        coin: as the commitment names it.
        text: what was given.
        known: the value that the record holds already; empty for none.

    Raises:
        InputError: if it is no value, or not the one of that round; or if the coin comes with a timestamp and this is
            not it.
    """
    value = parse_coin_value(text)
    if coin.source in BEACONS:
        beacon = BEACONS[coin.source]
        beacon.check(parse_round(beacon, coin.round), value)
    if coin.source == TIMESTAMP and value != known:
        raise InputError(
            "this commitment's coin comes with its timestamp; another value cannot be given",
            "Leave --coin out. If there is no timestamp yet: protect timestamp.",
        )
    return value


@dataclass(frozen=True, slots=True)
class Committed:
    """What a coin is judged by."""

    commitment: str
    created: datetime
    """As the commitment says, UTC."""
    coin: Coin | None
    value: str
    """Empty if it is not known."""

    @classmethod
    def of(cls, release: Release) -> Committed:
        """What a record holds."""
        return cls(release.commitment, datetime.fromisoformat(release.created), release.coin_named, release.coin)


@dataclass(frozen=True, slots=True)
class CoinState:
    """What a verdict says about the coin."""

    flags: tuple[str, ...]
    sentence: str
    """For people."""


def draw_of(stamp: Stamp, committed: Committed) -> str:
    """The coin that a timestamp gives.

    Args:
        stamp: checked, of the commitment.
        committed: its coin is a timestamp.

    Raises:
        InputError: if it is not the authority that was named, came too late, or its signature gives no coin.
    """
    named = committed.coin.round if committed.coin else ""
    if stamp.root != named:
        raise InputError(
            f"the commitment names another authority: its root is {named[:16]}…, this one's {stamp.root[:16]}…",
            "Ask the authority that was named; if there is none any more, commit again.",
        )
    away = abs(stamp.time - committed.created)
    if away > WINDOW:
        raise InputError(
            f"the coin was drawn {away} away from the commitment's date; allowed: {WINDOW}",
            "Set this machine's clock and commit again: the authority is asked at once.",
        )
    if stamp.draw is None:
        raise InputError(
            f"{stamp.authority} signs in a way of which no coin can be made; allowed: RSA and elliptic curves",
            "Name another authority, or a beacon: --coin-from drand.",
        )
    return stamp.draw


def judge_coin(committed: Committed, stamps: Sequence[Stamp], problems: Sequence[str] = ()) -> CoinState:
    """What can be said about a coin.

    Args:
        committed: the commitment, the coin that it names and its value.
        stamps: timestamps of the commitment, all of them checked.
        problems: why others could not be checked.

    Raises:
        ReleaseError: if the value is not the one of the round that the commitment names.
    """
    coin, value = committed.coin, committed.value
    if coin is None or value == NO_COIN:
        return CoinState(
            (NO_PUBLIC_COIN,),
            "There is no public coin: keys could have been tried against any model that its owner could run before "
            "the commitment.",
        )
    if coin.source == TIMESTAMP:
        return _judge_drawn(committed, coin, stamps, problems)
    if coin.source in BEACONS:
        return _judge_beacon(committed, coin, stamps, problems)
    return CoinState(
        (NOT_CHECKED,),
        f"The coin is to be looked up: {coin.source}, round {coin.round}, should be {value}. This program cannot.",
    )


def coin_to_come(coin: Coin) -> CoinState:
    """What is said of a coin that a commitment names and does not hold yet."""
    if coin.source == TIMESTAMP:
        return CoinState((TO_COME,), f"The coin is still to come: a timestamp under the root {coin.round}.")
    out = comes_out(coin)
    when = f", which comes out on {out:%Y-%m-%d %H:%M:%S} UTC" if out else ""
    return CoinState((TO_COME,), f"The coin is still to come: {coin.source}, round {coin.round}{when}.")


def _judge_drawn(committed: Committed, coin: Coin, stamps: Sequence[Stamp], problems: Sequence[str]) -> CoinState:
    for stamp in stamps:
        try:
            drawn = draw_of(stamp, committed)
        except InputError:
            continue
        if drawn == committed.value:
            return CoinState(
                (CHECKED, ON_REQUEST),
                f"The coin is the signature under the commitment of {stamp.in_words()}. Each request within {WINDOW} "
                "of the commitment would have been a draw; only the authority knows how many there were.",
            )
    why = problems[0] if problems else f"no timestamp at hand, under the root {coin.round[:16]}…, gives its value"
    return CoinState((NOT_CHECKED,), f"The coin could not be checked: {why}.")


def _judge_beacon(committed: Committed, coin: Coin, stamps: Sequence[Stamp], problems: Sequence[str]) -> CoinState:
    beacon = BEACONS[coin.source]
    number = parse_round(beacon, coin.round)
    out = beacon.time_of(number)
    if not can_check():
        return CoinState((NOT_CHECKED,), 'The coin was not checked: that needs pip install "tracemark[beacon]".')
    try:
        beacon.check(number, committed.value)
    except InputError as error:
        raise ReleaseError(error.what, "Whoever gave this value: no verdict can rest on it.") from None
    told = f"The coin is the value of {coin.source}, round {coin.round}, which came out on {out:%Y-%m-%d %H:%M:%S} UTC"
    before = [stamp for stamp in stamps if stamp.time + WINDOW <= out]
    if before:
        first = min(before, key=lambda stamp: stamp.time)
        return CoinState((CHECKED,), f"{told}. The commitment is older: {first.in_words()}.")
    why = problems[0] if problems else "no timestamp at hand says so"
    return CoinState((NOT_CHECKED,), f"{told}. Whether the commitment is older was not checked: {why}.")
