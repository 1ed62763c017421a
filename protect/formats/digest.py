"""A digest of a dataset that does not depend on the order of its samples and needs no memory of them.

The homomorphic set hash of Bellare and Micciancio (EUROCRYPT 1997) with the parameters of LtHash16: every sample is
expanded to 1,024 numbers of 16 bits, which are added up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from protect.files import canonical_json
from protect.formats.record import Record, normalised

_LANES = 1024


class DatasetDigest:
    """Running digest over samples: keys and captions, or keys and picture files."""

    def __init__(self, lanes: NDArray[np.uint16] | None = None) -> None:
        self._sum = np.zeros(_LANES, dtype=np.uint16) if lanes is None else lanes.copy()

    @property
    def lanes(self) -> NDArray[np.uint16]:
        """The sum so far, from which another digest may go on; shape (1024,)."""
        return self._sum.copy()

    def add(self, record: Record) -> None:
        """Take in a sample's key and captions, in their order: the first is the one that questions are made from."""
        self._sum += _expanded(_of_record(record.key, record.captions))

    def change(self, record: Record, captions: Mapping[str, str]) -> None:
        """Give a sample that was taken in other captions."""
        self._sum -= _expanded(_of_record(record.key, record.captions))
        self._sum += _expanded(_of_record(record.key, captions))

    def add_picture(self, key: str, sha256: str) -> None:
        """Take in a sample's key and the SHA-256 of its picture file."""
        self._sum += _expanded(canonical_json([normalised(key), sha256]))

    def hexdigest(self) -> str:
        """SHA-256 of the sum, 64 hex digits."""
        return hashlib.sha256(self._sum.astype("<u2").tobytes()).hexdigest()


def _of_record(key: str, captions: Mapping[str, str]) -> bytes:
    return canonical_json([normalised(key), [list(row) for row in captions.items()]])


def _expanded(content: bytes) -> NDArray[np.uint16]:
    return np.frombuffer(hashlib.shake_128(content).digest(2 * _LANES), dtype="<u2")
