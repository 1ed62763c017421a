"""N-grams of many captions, counted in bounded memory: a sketch that keeps those with the smallest keyed hashes.

A kept n-gram was counted from the first caption on, or it is not in the sketch at all (bottom-k sampling: Cohen and
Kaplan, PODC 2007). Which ones are kept hangs on the key and the n-grams, not on the order of the captions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.alignments.window import readable
from protect.alignments.words import words

LONGEST = 3
"""Words of an n-gram."""
LIMIT = 300_000
"""N-grams that a sketch keeps."""
_BLOCK = 30_000
"""Words that are looked at together."""
_CACHED = 200_000
"""Words whose hashes are remembered."""

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def mixed(values: Hashes) -> Hashes:
    """Values spread over all 64 bits, one to one (the finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014)."""
    values = (values ^ (values >> _SHIFTS[0])) * _FACTORS[0]
    values = (values ^ (values >> _SHIFTS[1])) * _FACTORS[1]
    return values ^ (values >> _SHIFTS[2])


@dataclass(frozen=True, slots=True)
class Grams:
    """All n-grams of a few captions, each once per caption; arrays of shape (n,)."""

    hashes: Hashes
    owners: Places
    """Place of the caption among all."""
    starts: Places
    """Place of the first word in `words`."""
    lengths: Places
    words: Sequence[str]
    """Words of all these captions."""

    def text(self, place: int) -> str:
        """An n-gram in words."""
        start = int(self.starts[place])
        return " ".join(self.words[start : start + int(self.lengths[place])])


class GramHasher:
    """Hashes of n-grams under one key."""

    def __init__(self, key: int) -> None:
        """Take a key.

        Args:
            key: 64 bits.
        """
        self._key = key.to_bytes(8, "big")
        self._known: dict[str, int] = {}

    def grams(self, captions: Iterable[str]) -> Iterator[Grams]:
        """The n-grams of what a model surely reads of each caption, many captions at a time."""
        found: list[str] = []
        owners: list[int] = []
        for owner, caption in enumerate(captions):
            said = words(readable(caption))
            found += said
            owners += [owner] * len(said)
            if len(found) >= _BLOCK:
                yield self._grams(found, np.array(owners, dtype=np.int64))
                found, owners = [], []
        if found:
            yield self._grams(found, np.array(owners, dtype=np.int64))

    def _grams(self, found: list[str], owners: Places) -> Grams:
        hashes = np.array([self._hash(word) for word in found], dtype=np.uint64)
        parts: list[tuple[Hashes, Places, Places]] = []
        rolling = mixed(hashes)
        for length in range(1, LONGEST + 1):
            inside = np.flatnonzero(owners[: len(rolling)] == owners[length - 1 :])
            parts.append((mixed(rolling[inside] ^ np.uint64(length)), inside, np.full(len(inside), length)))
            rolling = mixed(rolling[:-1] * _FACTORS[1] + hashes[length:])
        every, starts, lengths = (np.concatenate([part[i] for part in parts]) for i in range(3))
        once = _first_of_each(every, owners[starts])
        return Grams(every[once], owners[starts[once]], starts[once], lengths[once], found)

    def _hash(self, word: str) -> int:
        known = self._known.get(word)
        if known is None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            data = word.encode("utf-8", "surrogatepass")
            known = int.from_bytes(hashlib.blake2b(data, digest_size=8, key=self._key).digest(), "big")
            self._known[word] = known
        return known


def _first_of_each(hashes: Hashes, owners: Places) -> Places:
    """Places of the n-grams, each once per caption."""
    order = np.lexsort((owners, hashes))
    again = (hashes[order[1:]] == hashes[order[:-1]]) & (owners[order[1:]] == owners[order[:-1]])
    return np.delete(order, np.flatnonzero(again) + 1)


class Sketch:
    """In how many captions n-grams occur, for those with the smallest hashes."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.hashes: Hashes = np.zeros(0, dtype=np.uint64)
        """Ascending, shape (kept,)."""
        self.counts: Places = np.zeros(0, dtype=np.int64)
        """Captions, shape (kept,)."""
        self.whole = True
        """Whether no n-gram was left out."""
        self._limit = limit
        self._waiting: list[Hashes] = []
        self._count = 0

    def add(self, hashes: Hashes) -> None:
        """Count n-grams once each."""
        if not self.whole:
            hashes = hashes[hashes <= self.hashes[-1]]
        self._waiting.append(hashes)
        self._count += len(hashes)
        if self._count > self._limit:
            self.settle()

    def settle(self) -> None:
        """Take in what waits; to be called once after the last `add`."""
        new, times = np.unique(np.concatenate([self.hashes[:0], *self._waiting]), return_counts=True)
        self._waiting, self._count = [], 0
        hashes, place = np.unique(np.concatenate([self.hashes, new]), return_inverse=True)
        counts = np.zeros(len(hashes), dtype=np.int64)
        counts[place[: len(self.counts)]] += self.counts
        counts[place[len(self.counts) :]] += times
        self.whole = self.whole and len(hashes) <= self._limit
        self.hashes, self.counts = hashes[: self._limit], counts[: self._limit]


def sketch(captions: Iterable[str], hasher: GramHasher, limit: int = LIMIT) -> Sketch:
    """Count the n-grams of captions in one pass."""
    found = Sketch(limit)
    for grams in hasher.grams(captions):
        found.add(grams.hashes)
    found.settle()
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """Where some n-grams occur."""

    texts: tuple[str, ...]
    """In the order of the hashes looked for."""
    grams: Places
    """Place in `texts`, ascending, shape (occurrences,)."""
    owners: Places
    """Place of the caption, shape (occurrences,)."""

    def holders(self, gram: int) -> Places:
        """Places of the captions that hold an n-gram, by its place in `texts`."""
        first, end = np.searchsorted(self.grams, [gram, gram + 1])
        return self.owners[first:end]


def find(captions: Iterable[str], hasher: GramHasher, wanted: Hashes) -> Found:
    """Look some n-grams up again by their hashes, in one pass.

    Args:
        captions: the same as before.
        hasher: the same as before.
        wanted: hashes, different from each other, of n-grams that occur; shape (n,).
    """
    order = np.argsort(wanted)
    texts = [""] * len(wanted)
    places: list[Places] = [np.zeros(0, dtype=np.int64)]
    owners: list[Places] = [np.zeros(0, dtype=np.int64)]
    for grams in hasher.grams(captions):
        near = np.searchsorted(wanted[order], grams.hashes).clip(max=len(wanted) - 1)
        hit = np.flatnonzero(wanted[order][near] == grams.hashes)
        places.append(order[near[hit]])
        owners.append(grams.owners[hit])
        for place, occurrence in zip(places[-1].tolist(), hit.tolist(), strict=True):
            texts[place] = texts[place] or grams.text(occurrence)
    by_gram = np.argsort(np.concatenate(places), kind="stable")
    return Found(tuple(texts), np.concatenate(places)[by_gram], np.concatenate(owners)[by_gram])
