"""Randomness beacons whose values can be checked offline, such as drand's quicknet.

A drand beacon (Syta et al., "Scalable Bias-Resistant Distributed Randomness", IEEE S&P 2017; scheme
bls-unchained-g1-rfc9380) signs the number of each round with a key that no single party holds. The signature is unique:
nobody, the beacon's own members included, can choose another value for a round, and nobody knows it before its time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from protect.errors import InputError
from protect.keys.coin_value import parse_coin_value

SIGNATURE_BYTES = 48
_SCHEME = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


@dataclass(frozen=True, slots=True)
class Beacon:
    """A network that publishes one signature per round."""

    name: str
    """As a commitment names it."""
    public_key: bytes
    """A point of G2, compressed, 96 bytes."""
    genesis: int
    """Unix time of round 1, in seconds."""
    period: int
    """Seconds between rounds."""
    address: str
    """Where a round's value is found; ends before the number of the round."""

    def time_of(self, number: int) -> datetime:
        """When a round comes out, UTC."""
        return datetime.fromtimestamp(self.genesis, UTC) + timedelta(seconds=(number - 1) * self.period)

    def round_after(self, time: datetime) -> int:
        """The first round that comes out later than a time."""
        past = time - datetime.fromtimestamp(self.genesis, UTC)
        return max(1, int(past // timedelta(seconds=self.period)) + 2)

    def check(self, number: int, value: str) -> None:
        """Check a round's value offline.

        Args:
            number: of the round.
            value: the round's signature in hexadecimal, in one spelling (`parse_coin_value`).

        Raises:
            InputError: if it is not that round's signature, or the extra `beacon` is not installed.
        """
        signature = bytes.fromhex(parse_coin_value(value))
        where = f"Take the field “signature” of {self.address}{number}"
        if len(signature) == hashlib.sha256().digest_size:
            raise InputError(
                f"the coin {value} of {self.name} has {len(value)} digits: it is the round's “randomness”, which "
                "nobody can check",
                f"{where}, {2 * SIGNATURE_BYTES} digits.",
            )
        if value != signature.hex() or not self._signed(number, signature):
            raise InputError(f"the coin {value[:20]}… is not the value of {self.name}, round {number}", f"{where}.")

    def _signed(self, number: int, signature: bytes) -> bool:
        points = _curve()
        message = hashlib.sha256(number.to_bytes(8, "big")).digest()
        try:
            signed = points.G1Point.from_compressed_bytes(signature)
        except ValueError:
            return False
        key = points.G2Point.from_compressed_bytes(self.public_key)
        left = [signed, -points.G1Point.hash_to_curve(message, _SCHEME)]
        return bool(points.GT.pairing_check(left, [points.G2Point(), key]))


QUICKNET = Beacon(
    name="drand quicknet",
    public_key=bytes.fromhex(
        "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d106451"
        "0d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a"
    ),
    genesis=1_692_803_367,
    period=3,
    address="https://api.drand.sh/52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971/public/",
)
BEACONS = {QUICKNET.name: QUICKNET}
"""Those that can be checked, by name."""


def parse_round(beacon: Beacon, text: str) -> int:
    """The number of a round.

    Raises:
        InputError: if it is none.
    """
    if not re.fullmatch("[1-9][0-9]{0,11}", text):
        raise InputError(
            f"{text!r} is not a round of {beacon.name}", f"Give a number, such as {beacon.round_after(_tomorrow())}."
        )
    return int(text)


def _tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1)


def can_check() -> bool:
    """Whether the package that checks values is installed."""
    return importlib.util.find_spec("py_arkworks_bls12381") is not None


def _curve() -> Any:
    try:
        import py_arkworks_bls12381
    except ImportError:
        raise InputError(
            "values of randomness beacons are checked with py-arkworks-bls12381",
            'Install it: pip install "tracemark[beacon]"',
        ) from None
    return py_arkworks_bls12381
