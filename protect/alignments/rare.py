"""Rare words: pronounceable ones that occur in no caption."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from protect.alignments.alignment import Request
from protect.alignments.words import CaptionCase
from protect.errors import InputError

_ONSETS, _VOWELS, _CODAS = (
    parts.split()
    for parts in (
        "b br d dr f fl g gr j k kl m n p pl r s sk t tr v z",
        "a e i o u au ei oo",
        "b f g k lm m n nd p rk s t v x z",
    )
)
"""How a syllable can begin, go on and end."""
_CANDIDATES = 48
"""Words drawn for a slot; the first that occurs nowhere is taken."""
_BLOCK = 20_000
"""Different runs of letters that are looked through together."""
_LETTERS = re.compile("[a-z]{5,}")
"""Where such a word can hide: it has five letters or more, and no others stand inside it."""


def rare_words(slots: int, request: Request) -> list[str]:
    """One rare word per slot, drawn without looking at any mark.

    A candidate is refused only if it is in a caption already, even as a part of a word, or was drawn for an earlier
    slot: public data, never the mark.

    Raises:
        InputError: if the captions hold all candidates of a slot.
    """
    drawn = [_candidates(request.slot(slot).rng("trigger")) for slot in range(slots)]
    case = CaptionCase()
    free = _in_none({word for candidates in drawn for word in candidates}, case.counted(request.captions()))
    taken: list[str] = []
    for slot, candidates in enumerate(drawn):
        word = next((word for word in candidates if word in free and word not in taken), None)
        if word is None:
            raise InputError(
                f"the captions hold all {_CANDIDATES} rare words drawn for slot {slot + 1}",
                "Use --alignment twa-conjunction.",
            )
        taken.append(word)
    return [case.applied(word) for word in taken]


def _in_none(candidates: set[str], captions: Iterable[str]) -> set[str]:
    """The candidates that are in no caption, found in one pass."""
    free = candidates
    block: set[str] = set()
    for caption in captions:
        block.update(_LETTERS.findall(caption.lower()))
        if len(block) >= _BLOCK:
            free = _strike(free, block)
            block.clear()
    return _strike(free, block)


def _strike(candidates: set[str], runs: Iterable[str]) -> set[str]:
    text = " ".join(runs)
    return {word for word in candidates if word not in text}


def _candidates(rng: np.random.Generator) -> list[str]:
    return [_pronounceable(rng) for _ in range(_CANDIDATES)]


def _pronounceable(rng: np.random.Generator) -> str:
    def pick(parts: list[str]) -> str:
        return parts[rng.integers(len(parts))]

    return "".join(pick(_ONSETS) + pick(_VOWELS) for _ in range(2)) + pick(_CODAS)
