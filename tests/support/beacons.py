"""A beacon whose secret the tests know, so that rounds to come have values."""

from __future__ import annotations

import hashlib

import py_arkworks_bls12381 as curve

from protect.keys import beacon

_SECRET = 20_261_128


def round_value(number: int) -> str:
    """The value of a round of the tests' beacon."""
    message = hashlib.sha256(number.to_bytes(8, "big")).digest()
    point = curve.G1Point.hash_to_curve(message, beacon._SCHEME)
    return bytes((point * _scalar()).to_compressed_bytes()).hex()


def _scalar() -> curve.Scalar:
    return curve.Scalar.from_be_bytes(_SECRET.to_bytes(32, "big"))


BEACON = beacon.Beacon(
    name="test beacon",
    public_key=bytes((curve.G2Point() * _scalar()).to_compressed_bytes()),
    genesis=1_700_000_000,
    period=10,
    address="https://beacon.invalid/",
)
