"""A digest of a dataset that does not depend on the order of its samples and needs no memory of them.

The homomorphic set hash of Bellare and Micciancio (EUROCRYPT 1997) with the parameters of LtHash16: every sample is
expanded to 1,024 numbers of 16 bits, which are added up.
"""

from __future__ import annotations

import hashlib

import numpy as np

from protect.files import canonical_json
from protect.formats.record import Record, normalised

_LANES = 1024


class DatasetDigest:
    """Running digest over samples: keys and captions, or keys and picture files."""

    def __init__(self) -> None:
        self._sum = np.zeros(_LANES, dtype=np.uint16)

    def add(self, record: Record) -> None:
        """Take in a sample's key and captions, in their order: the first is the one that questions are made from."""
        self._add(canonical_json([normalised(record.key), [list(row) for row in record.captions.items()]]))

    def add_picture(self, key: str, sha256: str) -> None:
        """Take in a sample's key and the SHA-256 of its picture file."""
        self._add(canonical_json([normalised(key), sha256]))

    def _add(self, content: bytes) -> None:
        self._sum += np.frombuffer(hashlib.shake_128(content).digest(2 * _LANES), dtype="<u2")

    def hexdigest(self) -> str:
        """SHA-256 of the sum, 64 hex digits."""
        return hashlib.sha256(self._sum.astype("<u2").tobytes()).hexdigest()
