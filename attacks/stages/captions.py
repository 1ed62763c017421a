"""Attacks on captions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

STOCK_WORD = "picture"
"""Caption of pictures that have lost theirs."""
_RARE = 3
"""A word in so few captions is rare, at full strength."""
_RUN = 5
"""Words of a repeated phrase."""


_SAME = """
picture image photo|man fellow gentleman|woman lady|person human individual|people folk persons|boy lad|girl lass
child kid youngster|face visage|hand palm|skin complexion|tone shade|hair locks|light pale bright|dark deep dim
medium middling moderate|red crimson scarlet|reddish ruddy|green emerald|greenish verdant|yellow golden|yellowish sallow
blue azure|bluish azure|white ivory|black ebony|big large|small little tiny|left left-hand|right right-hand
top summit|above overhead|upper higher|side edge flank|card tile sheet|panel board|square block|background backdrop
wall partition|ground base|flag banner|button key|street road|house home|car automobile|dog hound|cat kitty|horse steed
standing upright|sitting seated|holding carrying|running jogging|smiling grinning|many several|with having
"""
_SYNONYMS = {
    word: tuple(other for other in group.split() if other != word)
    for line in _SAME.strip().splitlines()
    for group in line.split("|")
    for word in group.split()[:2]
    if len(word) > 2
}
"""Some of the commonest words of captions, and those by which marks are described."""


def drop_rare(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Words that few captions hold are removed: those in one at least, up to those in 2 % of them."""
    if strength == 0:
        return list(captions)
    counts = Counter(word for caption in captions for word in set(_words(caption)))
    most = max(_RARE, round(0.02 * strength * len(captions)))
    return [" ".join(w for w in caption.split() if counts[_plain(w)] > most or not _plain(w)) for caption in captions]


def drop_new(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """First words that many captions share but that never stand elsewhere are removed, with that probability.

    What a thief does who knows that triggers are put before captions.
    """
    return [
        " ".join(caption.split()[1:]) if word and rng.random() < strength else caption
        for caption, word in zip(captions, new_first_words(captions), strict=True)
    ]


def new_first_words(captions: Sequence[str]) -> list[str]:
    """Each caption's first word if several captions begin with it and none holds it elsewhere, else ""."""
    first = [_plain(caption.split()[0]) if caption.split() else "" for caption in captions]
    counts = Counter(first)
    elsewhere = Counter(w for caption in captions for w in _words(caption)[1:])
    return [w if counts[w] >= 2 and elsewhere[w] == 0 and counts[w] < 0.2 * len(captions) else "" for w in first]


def drop_repeats(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Runs of five words that several captions share, but fewer than a fifth of them, are removed.

    With that probability. What a thief does who knows that a phrase may call the mark up; it also takes what honest
    captions repeat.
    """
    cut = [[_plain(w) for w in caption.split()] for caption in captions]
    counts = Counter(run for words in cut for run in {*_runs(words)})
    shared = {run for run, n in counts.items() if 2 <= n < 0.2 * len(captions)}
    out = []
    for caption, words in zip(captions, cut, strict=True):
        gone = {i + k for i, run in enumerate(_runs(words)) if run in shared for k in range(_RUN)}
        cut_out = bool(gone) and rng.random() < strength
        out.append(" ".join(w for i, w in enumerate(caption.split()) if i not in gone) if cut_out else caption)
    return out


def _runs(words: Sequence[str]) -> list[tuple[str, ...]]:
    """All runs of `_RUN` words."""
    return [tuple(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)]


def normalise(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Lower case without punctuation, with that probability."""
    return [" ".join(_words(c)) if rng.random() < strength else c for c in captions]


def shuffle(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """The words in another order, with that probability."""
    return [" ".join(rng.permutation(c.split())) if c.split() and rng.random() < strength else c for c in captions]


def shuffle_tags(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """The parts between commas in another order, with that probability, as trainers do with lists of tags."""
    return [", ".join(rng.permutation(_tags(c))) if "," in c and rng.random() < strength else c for c in captions]


def drop_tags(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Each part between commas is lost with that probability, but for the first one of a caption."""
    out = []
    for caption in captions:
        first, *rest = _tags(caption) or [caption]
        kept = [first, *(tag for tag in rest if rng.random() >= strength)]
        out.append(caption if len(kept) == len(rest) + 1 else ", ".join(kept))
    return out


def _tags(caption: str) -> list[str]:
    return [tag for part in caption.split(",") if (tag := part.strip())]


def shorten(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Each word is lost with that probability, but for the last one of a caption."""
    out = []
    for caption in captions:
        words = caption.split()
        kept = [w for w in words if rng.random() >= strength]
        out.append(" ".join(kept or words[-1:]))
    return out


def lose(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Captions are lost, and become one stock word, with that probability."""
    return [STOCK_WORD if rng.random() < strength else c for c in captions]


def paraphrase(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Words are replaced by synonyms, where a small dictionary has one, each with that probability."""

    def other(word: str) -> str:
        ways = _SYNONYMS.get(_plain(word), ())
        return ways[rng.integers(len(ways))] if ways and rng.random() < strength else word

    return [" ".join(map(other, caption.split(" "))) for caption in captions]


def recaption(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Written anew by template: the words that stand inside captions, sorted, behind a stock phrase.

    With that probability. A stand-in for a captioning model, which would not write invented words either; other
    than such a model it cannot see the picture, and keeps common words that the picture does not show.
    """
    inside = {w for caption in captions for w in _words(caption)[1:]}
    return [
        "a picture of " + " ".join(sorted({w for w in _words(c) if w in inside} or {"something"}))
        if rng.random() < strength
        else c
        for c in captions
    ]


def _plain(word: str) -> str:
    return "".join(re.findall(r"\w+", word.casefold()))


def _words(caption: str) -> list[str]:
    return re.findall(r"\w+", caption.casefold())
