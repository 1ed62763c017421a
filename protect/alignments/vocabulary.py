"""Ordinary words of captions, and lists of them that together fill a share of the samples.

The first pass counts words, in huge datasets only some of them (`protect.alignments.common.BoundedCounter`): its memory
is bounded, and the order of the captions does not matter. The second notes for each sample, one bit a word, which of
some hundred candidates its caption holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from protect.alignments.common import BoundedCounter
from protect.alignments.window import readable
from protect.alignments.words import words
from protect.keys.tree import SlotKey

FEWEST_SAMPLES = 12
"""Samples from which a word can be learned at all: a hundred sightings in eight passes."""
_PARTS = 256
"""A word is in that part of the share at least, so that in large datasets rare words do not crowd out the others."""
_LARGEST = (24, 12, 6, 4)
"""And in one of these parts at most: the smallest with which the words fill the share."""
_FILLED = 0.9
_TOGETHER = 0.8
"""Words that meet in more of the captions that hold either count once."""
_CANDIDATES = 512
"""Words whose samples are noted: 64 bytes for each sample."""
_SHORTEST = 3
"""Letters of a word in ASCII."""
_BATCH = 4_096
_NAMED = 20
_BINDING_WORDS = (
    "about above after all and any are around away back been before behind being below beside between both but can "
    "does down each few for from front had has have her here him his how into its just like more most near next not "
    "now off one onto other others our out outside over own same she some such than that the their them then there "
    "these they this those three through too top two under upon very was were what when where which while who will "
    "with without you your inside against along among across during"
)
"""English words that hold sentences together: a caption written anew uses others."""
_BINDING = frozenset(_BINDING_WORDS.split())


def held_words(caption: str, listed: Sequence[str]) -> tuple[int, ...]:
    """Places in a list of the words that a model surely reads in a caption.

    >>> held_words("A red kite, above the sea", ["boat", "kite", "red"])
    (1, 2)
    """
    found = set(words(readable(caption)))
    return tuple(place for place, word in enumerate(listed) if word in found)


@dataclass
class Vocabulary:
    """Candidates and the samples that hold them; lists are taken from it one after the other."""

    bounds: tuple[int, int]
    """Fewest and most samples of a word."""
    share: int
    """Most samples of a list."""
    words: tuple[str, ...]
    bits: NDArray[np.uint8]
    """Which of them each sample holds, packed; shape (samples, bytes)."""
    commonest: tuple[tuple[str, int], ...]
    """The commonest words that were counted, fitting or not, and in how many captions they are."""
    _taken: set[str] = field(default_factory=set)
    _free: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self._free = np.ones(len(self.bits), dtype=np.bool_)

    @property
    def fitting(self) -> tuple[tuple[str, int], ...]:
        """Words of no list yet, and in how many samples of no list they are, if those are enough; commonest first."""
        low, high = self.bounds
        counts = ((word, int(self._holders(word).sum())) for word in self.words if word not in self._taken)
        rows = [(word, count) for word, count in counts if low <= count <= high]
        return tuple(sorted(rows, key=lambda row: (-row[1], row[0])))

    def take(self, key: SlotKey, most: int) -> tuple[str, ...]:
        """A list of words in the order of the alphabet, drawn by a key; its samples and words are in no later list.

        Words come in an order that the key draws. A word is left out if with its samples the list would have too many,
        or if it comes together with one of the list nearly always.

        Args:
            key: of the slot.
            most: words.
        """
        counts = dict(self.fitting)
        order = sorted(counts, key=lambda word: _rank(key, word))
        for part in _LARGEST:
            chosen, union = self._list({w: counts[w] for w in order if counts[w] <= self.share // part}, most)
            if union.sum() >= _FILLED * self.share:
                break
        self._taken |= set(chosen)
        self._free &= ~union
        return tuple(sorted(chosen))

    def _list(self, counts: Mapping[str, int], most: int) -> tuple[list[str], NDArray[np.bool_]]:
        """Words in the order of `counts` that fit together, and the samples that hold one of them."""
        chosen: dict[str, NDArray[np.bool_]] = {}
        union = np.zeros(len(self.bits), dtype=np.bool_)
        for word, count in counts.items():
            holders = self._holders(word)
            if np.count_nonzero(union | holders) > self.share:
                continue
            if any(_alike(holders, other, (count, counts[name])) for name, other in chosen.items()):
                continue
            chosen[word] = holders
            union |= holders
            if len(chosen) == most:
                break
        return list(chosen), union

    def _holders(self, word: str) -> NDArray[np.bool_]:
        """Which samples of no list yet hold a word, shape (samples,)."""
        place = self.words.index(word)
        mask = np.uint8(0x80 >> place % 8)
        return np.asarray((self.bits[:, place // 8] & mask).astype(np.bool_) & self._free)


def _alike(one: NDArray[np.bool_], other: NDArray[np.bool_], counts: tuple[int, int]) -> bool:
    """Whether two words, with so many samples, shape (n,), nearly always come together."""
    if min(counts) <= _TOGETHER * max(counts):
        return False
    return bool(np.count_nonzero(one & other) > _TOGETHER * np.count_nonzero(one | other))


def vocabulary(captions: Callable[[], Iterator[str]], count: int, share: int, key: SlotKey) -> Vocabulary:
    """The words that fit into lists.

    Args:
        captions: gives the first caption of each sample, from the first at each call.
        count: how many they are.
        share: most samples of a list.
        key: draws the candidates where there are too many.
    """
    counter = BoundedCounter()
    for caption in captions():
        counter.update(_ordinary(caption))
    bounds = (max(FEWEST_SAMPLES, share // _PARTS), share // _LARGEST[-1])
    fitting = [word for word, found in counter.counts.items() if bounds[0] <= found <= bounds[1]]
    candidates = tuple(sorted(fitting, key=lambda word: _rank(key, word))[:_CANDIDATES])
    commonest = sorted(counter.counts.items(), key=lambda row: (-row[1], row[0]))[:_NAMED]
    return Vocabulary(bounds, share, candidates, _bits(captions(), count, candidates), tuple(commonest))


def _ordinary(caption: str) -> set[str]:
    """Words that say what is in a picture, each once; figures and words that hold sentences together do not."""
    found = set(words(readable(caption))) - _BINDING
    return {word for word in found if (len(word) >= _SHORTEST or not word.isascii()) and not word.isdigit()}


def _bits(captions: Iterator[str], count: int, candidates: Sequence[str]) -> NDArray[np.uint8]:
    place = {word: i for i, word in enumerate(candidates)}
    packed = np.zeros((count, -(-len(candidates) // 8)), dtype=np.uint8)
    first = 0
    while batch := list(islice(captions, _BATCH)):
        holds = np.zeros((len(batch), len(candidates)), dtype=np.bool_)
        for row, caption in zip(holds, batch, strict=True):
            row[[place[word] for word in place.keys() & words(readable(caption))]] = True
        packed[first : first + len(batch)] = np.packbits(holds, axis=1)
        first += len(batch)
    return packed


def _rank(key: SlotKey, word: str) -> bytes:
    """Place of a word in the order that a key draws."""
    data = word.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, key=key.integer("words").to_bytes(8, "big"), digest_size=16).digest()
