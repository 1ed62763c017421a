"""The record: one picture with all its captions, wherever and however a dataset keeps them."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

TRAIN = "train"
"""Split of every sample that is in no split."""


@dataclass(frozen=True, slots=True)
class Record:
    """One sample: a stable key, its captions and a way to read its picture. It never says where the picture lies."""

    key: str
    """Name of the sample inside the dataset, with forward slashes, spelt as the dataset spells it.

    Two spellings of one name (NFC and NFD) are one sample: compare keys by `normalised`.
    """
    captions: Mapping[str, str]
    """Every caption by its field, in the dataset's order, at least one, none empty.

    Field names are for people and for `--leave-captions`: a column's name, `text[2]` for the third entry of a list,
    `.txt` for a sidecar, `.txt:2` for its second line.
    """
    read: Callable[[], bytes] = field(repr=False, compare=False)
    """Reads the picture's file as stored. May be called at any time, from any thread, more than once.

    Raises:
        OSError: if it cannot be read.
    """
    split: str = TRAIN
    """Name of the split: train, validation or test, or as the dataset calls it if it is none of them."""
    where: str = ""
    """Place for messages, such as "00012.tar" or "metadata.jsonl, line 7"."""

    @property
    def caption(self) -> str:
        """The caption that most trainers read: the first."""
        return next(iter(self.captions.values()))


@dataclass(frozen=True, slots=True)
class SetAside:
    """Something that takes no part, and why; it is copied unchanged."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that the copy does not get, because it holds an original or tells which pictures changed."""

    path: str
    reason: str


def normalised(key: str) -> str:
    """The one spelling of a key: Unicode NFC.

    >>> normalised("cafe\\u0301.png") == normalised("caf\\u00e9.png")
    True
    """
    return unicodedata.normalize("NFC", key)


def key_hash(key: str) -> int:
    """64 bits that stand for a key, in any spelling."""
    return int.from_bytes(hashlib.blake2b(normalised(key).encode(), digest_size=8).digest(), "little")
