"""The commonest words of many captions, and which of them meet: two passes, whose memory hangs on neither's length."""

from __future__ import annotations

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
"""Words that the first pass hands to the second, which counts them exactly."""
_LIMIT = 200_000
"""Different words that are counted at a time."""
_SHORTEST = 4
"""Letters of a word in ASCII: shorter ones hold sentences together."""
_BATCH = 512
"""Captions whose words are compared together."""


class BoundedCounter:
    """Counts of words, of which the rare ones are forgotten when there are too many (Manku and Motwani, VLDB 2002).

    Exact while no more than `limit` different words were seen. Otherwise a count is short by at most `short`.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self.counts: Counter[str] = Counter()
        self.short = 0
        self._limit = limit

    def update(self, found: Iterable[str]) -> None:
        """Count words once each."""
        self.counts.update(found)
        if len(self.counts) > self._limit:
            self._forget()

    def _forget(self) -> None:
        least = 0
        while len(self.counts) > self._limit // 2:
            least += 1
            self.counts = Counter({word: count for word, count in self.counts.items() if count > least})
        self.short += least


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

    The first pass counts all words, but forgets rare ones; the second counts the 1,000 commonest exactly, and their
    meetings. The result is exact up to 200,000 different words. Beyond them it is exact for all words that are in so
    many more captions than the 1,000th that `BoundedCounter.short` does not make up for it.

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
