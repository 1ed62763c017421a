"""The key tree: every random choice of a release follows from one 256-bit secret and, if there is one, a public coin.

::

    secret ─┬─ slot seed k ── (coin, recipient) ── slot key k ── mark · decoys · trigger · questions
            └─ carriers: which samples are altered, and where in them a mark is placed

A slot seed is committed to before the coin is known (`protect.keys.commitment`), and one can be shown to a third party
without the others. Nothing that an owner can choose later enters a slot key: no salt, no date, no name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.files import canonical_json

SECRET_BYTES = 32
NO_COIN = ""
"""Value of the coin where the commitment named none: verdicts are then flagged `no-public-coin`."""
MASTER = ""
"""The recipient of a release that is given to everybody."""

Ids = NDArray[np.uint64]


def new_secret() -> bytes:
    """A fresh 256-bit secret from the operating system."""
    return secrets.token_bytes(SECRET_BYTES)


def secret_from_seed(seed: int, purpose: str) -> bytes:
    """A reproducible throw-away secret for rehearsals, demos and experiments; never for a real release.

    Args:
        seed: any integer.
        purpose: keeps secrets of different uses of one seed apart.
    """
    return hashlib.sha256(canonical_json(["tracemark throw-away secret", purpose, seed])).digest()


def prf(key: bytes, *label: str | int) -> bytes:
    """HMAC-SHA-256 of an unambiguous encoding of `label`; 32 bytes.

    >>> prf(b"k", "a", 1) == prf(b"k", "a", 1), prf(b"k", "a", 1) == prf(b"k", "a1")
    (True, False)
    """
    return hmac.digest(key, canonical_json(list(label)), "sha256")


def prf_int(key: bytes, *label: str | int) -> int:
    """A 64-bit integer, uniform in [0, 2^64)."""
    return int.from_bytes(prf(key, *label)[:8], "big")


def prf_rng(key: bytes, *label: str | int) -> np.random.Generator:
    """A generator of its own for every label."""
    return np.random.default_rng(int.from_bytes(prf(key, *label), "big"))


@dataclass(frozen=True, slots=True)
class SlotKey:
    """The key of one slot of one recipient's copy: all that is random about the slot."""

    key: bytes

    @property
    def planted(self) -> int:
        """Id of the mark that is planted."""
        return prf_int(self.key, "mark")

    def decoys(self, count: int) -> Ids:
        """Ids of the slot's own decoys, further draws that are never published; shape (count,)."""
        stream = hashlib.shake_256(prf(self.key, "decoys")).digest(8 * count)
        return np.frombuffer(stream, dtype=">u8").astype(np.uint64)

    def integer(self, *label: str | int) -> int:
        """A 64-bit integer of its own for every label."""
        return prf_int(self.key, "use", *label)

    def rng(self, *label: str | int) -> np.random.Generator:
        """A generator of its own for every label."""
        return prf_rng(self.key, "use", *label)


@dataclass(frozen=True, slots=True)
class KeyTree:
    """A secret with the coin that appeared after it was committed to, for one recipient."""

    secret: bytes
    coin: str = NO_COIN
    recipient: str = MASTER

    def slot(self, slot: int) -> SlotKey:
        """Key of a slot: PRF(secret, coin, recipient, slot)."""
        return SlotKey(slot_key(slot_seed(self.secret, slot), self.coin, self.recipient))

    def carrier_rank(self, key: str) -> int:
        """Place of a sample in the order in which carriers are taken, smallest first; the same for all recipients."""
        return prf_int(self.secret, "carrier", key)


def slot_seed(secret: bytes, slot: int) -> bytes:
    """What is committed to for a slot, and shown if the slot is revealed; 32 bytes."""
    return prf(secret, "slot seed", slot)


def slot_key(seed: bytes, coin: str, recipient: str) -> bytes:
    """The slot's key once the coin is known; 32 bytes.

    Raises:
        InputError: if the coin is spelled in another way than `parse_coin_value` does: that would be a salt.
    """
    if not re.fullmatch("(?:[0-9a-f]{2})*", coin):
        raise InputError(
            f"the coin {coin[:20]!r} is not spelled in the one way that counts",
            "Give its bytes in hexadecimal, lower case, without anything else.",
        )
    return prf(seed, "slot key", coin, recipient)


def recipients_draws(seed: bytes, coin: str, serials: range, *label: str | int) -> Ids:
    """One 64-bit integer of a slot for each recipient, in bulk: `prf_int(slot_key(seed, coin, str(serial)), *label)`.

    Args:
        seed: of the slot.
        coin: value of the public coin.
        serials: of the recipients, none below 0; their key is the number in decimal digits.
        label: of the use; `"mark"` gives `SlotKey.planted`.

    Returns:
        Shape (len(serials),).
    """
    before = canonical_json(["slot key", coin, ""]).removesuffix(b'"]')
    use = canonical_json(list(label))
    hashed = hmac.digest
    drawn = bytearray()
    for serial in serials:
        drawn += hashed(hashed(seed, b'%b%d"]' % (before, serial), "sha256"), use, "sha256")[:8]
    return np.frombuffer(bytes(drawn), dtype=">u8").astype(np.uint64)
