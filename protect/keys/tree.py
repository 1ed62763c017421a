"""Keys: every random choice of a release is a pseudo-random function of one 256-bit secret.

Marks, decoys, carriers, triggers and query seeds come from the same secret under different labels, so
no stream tells anything about another (DESIGN: exactness needs decoys that could as well have been
planted, and choices made without looking at the mark).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import numpy as np
from numpy.typing import NDArray

from protect.files import canonical_json

SECRET_BYTES = 32

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


def prf(secret: bytes, *label: str | int) -> bytes:
    """HMAC-SHA-256 of an unambiguous encoding of `label`; 32 bytes.

    >>> prf(b"k", "a", 1) == prf(b"k", "a", 1), prf(b"k", "a", 1) == prf(b"k", "a1")
    (True, False)
    """
    return hmac.digest(secret, canonical_json(list(label)), "sha256")


def prf_int(secret: bytes, *label: str | int) -> int:
    """A 64-bit integer, uniform in [0, 2^64)."""
    return int.from_bytes(prf(secret, *label)[:8], "big")


def prf_rng(secret: bytes, *label: str | int) -> np.random.Generator:
    """A generator of its own for every label."""
    return np.random.default_rng(int.from_bytes(prf(secret, *label), "big"))


def mark_id(secret: bytes, coin: str, release: str, slot: int) -> int:
    """The id of the mark planted in a slot.

    Args:
        secret: the release's secret.
        coin: public randomness that appeared after the commitment; "" if there is none.
        release: the release's id.
        slot: slot number, from 0.
    """
    return prf_int(secret, "mark", coin, release, slot)


def decoy_ids(secret: bytes, coin: str, release: str, slot: int, count: int) -> Ids:
    """Ids of a slot's own decoys: further draws that are never published, shape (count,)."""
    draws = (prf_int(secret, "decoy", coin, release, slot, j) for j in range(count))
    return np.fromiter(draws, dtype=np.uint64, count=count)


def commitment(secret: bytes, salt: bytes, content: dict[str, object]) -> str:
    """What is published before a release: SHA-256 over secret, salt and content, 64 hex digits."""
    return hashlib.sha256(canonical_json({"secret": secret.hex(), "salt": salt.hex(), "content": content})).hexdigest()
