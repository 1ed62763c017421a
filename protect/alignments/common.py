"""The commonest words of many captions, and which of them meet: two passes, whose memory hangs on neither's length."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from protect.alignments.words import CaptionCase, words

POOLS = (200, 400, 800)
"""Commonest words from which pairs are made: the next more where those before always meet, as in long captions."""
_CANDIDATES = 1_000
"""Words that the first pass hands to the second, which counts in how many captions two of them meet."""
_LIMIT = 200_000
"""Different words from which on only some are counted."""
_SHORTEST = 4
"""Letters of a word in ASCII: shorter ones hold sentences together."""
_BATCH = 512
"""Captions whose words are compared together."""


class BoundedCounter:
    """Counts of words, exact for all that are kept: if there are too many, half of `limit`, by the smallest hashes.

    Which ones are kept hangs on the words alone, not on their order or number (bottom-k sampling: Cohen and Kaplan,
    PODC 2007): what is drawn from them cannot be changed by putting a dataset into another order.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._counts: Counter[str] = Counter()
        self._limit = limit
        self._last: int | None = None
        """Largest hash of a word that may still be kept; None while all are kept."""

    @property
    def counts(self) -> Counter[str]:
        """In how many captions each word that is kept was found; not to be changed."""
        if self._last is not None and len(self._counts) > self._limit // 2:
            self._forget()
        return self._counts

    @property
    def whole(self) -> bool:
        """Whether all words are kept."""
        return self._last is None

    def update(self, found: Iterable[str]) -> None:
        """Count words once each."""
        self._counts.update(found if self._last is None else filter(self._may_be_kept, found))
        if len(self._counts) > self._limit:
            self._forget()

    def _may_be_kept(self, word: str) -> bool:
        return word in self._counts or _hash(word) <= (self._last or 0)

    def _forget(self) -> None:
        kept = heapq.nsmallest(self._limit // 2, ((_hash(word), word) for word in self._counts))
        self._counts = Counter({word: self._counts[word] for _, word in kept})
        self._last = kept[-1][0]


def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@dataclass(frozen=True, slots=True)
class Meetings:
    """The commonest words and which of them occur in one caption."""

    words: tuple[str, ...]
    """The commonest first, at most 800."""
    case: CaptionCase
    """How the captions begin."""
    met: NDArray[np.bool_]
    """Whether two of them meet, shape (words, words)."""


def meetings(captions: Callable[[], Iterator[str]]) -> Meetings:
    """The 800 commonest words that are in two captions or more, with four letters or more, and which of them meet.

    The first pass counts words, the second the meetings of the 1,000 commonest. Beyond 200,000 different words only
    the 100,000 with the smallest hashes are looked at. The order of the captions never matters.

    Args:
        captions: gives them from the first at each call.
    """
    counter, case = BoundedCounter(), CaptionCase()
    for caption in case.counted(captions()):
        counter.update(_suitable(caption))
    ranked = sorted(counter.counts.items(), key=lambda row: (-row[1], row[0]))
    candidates = [word for word, count in ranked[:_CANDIDATES] if count > 1]
    together = _together(captions(), candidates)
    order = sorted(range(len(candidates)), key=lambda i: (-together[i, i], candidates[i]))[: POOLS[-1]]
    return Meetings(tuple(candidates[i] for i in order), case, together[np.ix_(order, order)] > 0)


def _suitable(caption: str) -> set[str]:
    return {w for w in words(caption) if (len(w) >= _SHORTEST or not w.isascii()) and not w.isdigit()}


def _together(captions: Iterator[str], candidates: list[str]) -> NDArray[np.int64]:
    """In how many captions each two words occur, and each word on the diagonal; shape (words, words)."""
    place = {word: i for i, word in enumerate(candidates)}
    total = np.zeros((len(candidates), len(candidates)), dtype=np.int64)
    while batch := list(islice(captions, _BATCH)):
        holds = np.zeros((len(batch), len(candidates)), dtype=np.float32)
        for row, caption in zip(holds, batch, strict=True):
            row[[place[word] for word in place.keys() & words(caption)]] = 1
        total += (holds.T @ holds).astype(np.int64)
    return total
