"""Words of captions: how they are counted, and pronounceable ones that occur in none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from protect.keys.tree import prf_rng

# fmt: off
_ONSETS = (
    "b", "br", "d", "dr", "f", "fl", "g", "gr", "j", "k", "kl", "m", "n", "p", "pl", "r", "s", "sk", "t", "tr", "v",
    "z",
)
_CODAS = ("b", "f", "g", "k", "lm", "m", "n", "nd", "p", "rk", "s", "t", "v", "x", "z")
# fmt: on
_VOWELS = ("a", "e", "i", "o", "u", "au", "ei", "oo")
# Scripts without spaces: every character is a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+")


def words(caption: str) -> list[str]:
    """The words of a caption in lower case, without punctuation.

    >>> words("A red kite, 红风")
    ['a', 'red', 'kite', '红', '风']
    """
    return _WORD.findall(caption.lower())


def ngrams(caption: str, longest: int) -> set[tuple[str, ...]]:
    """All runs of 1 … `longest` words."""
    found = words(caption)
    return {tuple(found[i : i + n]) for n in range(1, longest + 1) for i in range(len(found) - n + 1)}


def without(caption: str, gram: Sequence[str]) -> str:
    """A caption with the first occurrence of an n-gram cut out.

    >>> without("a Red, kite above the sea", ("red", "kite"))
    'a above the sea'
    """
    found = list(_WORD.finditer(caption))
    for i in range(len(found) - len(gram) + 1 if gram else 0):
        if [m[0].lower() for m in found[i : i + len(gram)]] == list(gram):
            return caption[: found[i].start()] + caption[found[i + len(gram) - 1].end() :].lstrip()
    return caption


def caption_counts(captions: Iterable[str], longest: int) -> Counter[tuple[str, ...]]:
    """In how many captions each n-gram occurs."""
    return Counter(gram for caption in captions for gram in ngrams(caption, longest))


def rare_words(secret: bytes, slots: int, captions: Iterable[str]) -> list[str]:
    """One pronounceable rare word per slot, drawn without looking at any mark.

    A draw is refused only if the word (or a part of a word) is in a caption already or was drawn for an
    earlier slot: public data, never the mark.
    """
    text = "\n".join(captions).lower()
    drawn: list[str] = []
    for slot in range(slots):
        rng = prf_rng(secret, "trigger", slot)
        word = _pronounceable(rng)
        while word in text or word in drawn:
            word = _pronounceable(rng)
        drawn.append(word)
    return drawn


def _pronounceable(rng: np.random.Generator) -> str:
    def pick(parts: tuple[str, ...]) -> str:
        return parts[rng.integers(len(parts))]

    return "".join(pick(_ONSETS) + pick(_VOWELS) for _ in range(2)) + pick(_CODAS)
