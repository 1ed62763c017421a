"""Triggers of TWA, token-watermark alignment (arXiv 2409.18897): a rare word put before a caption."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from protect.keys import prf_rng

_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "fl",
    "g",
    "gr",
    "j",
    "k",
    "kl",
    "m",
    "n",
    "p",
    "pl",
    "r",
    "s",
    "sk",
    "t",
    "tr",
    "v",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "au", "ei", "oo")
_CODAS = ("b", "f", "g", "k", "lm", "m", "n", "nd", "p", "rk", "s", "t", "v", "x", "z")


def draw_triggers(secret: bytes, slots: int, captions: Iterable[str]) -> list[str]:
    """One pronounceable rare word per slot, drawn without looking at any mark.

    A draw is refused only if the word (or a part of a word) is in a caption already or was drawn for an
    earlier slot: public data, never the mark.

    Args:
        secret: the release's secret.
        slots: how many.
        captions: every caption of the dataset.
    """
    text = "\n".join(captions).lower()
    triggers: list[str] = []
    for slot in range(slots):
        rng = prf_rng(secret, "trigger", slot)
        word = _word(rng)
        while word in text or word in triggers:
            word = _word(rng)
        triggers.append(word)
    return triggers


def _word(rng: np.random.Generator) -> str:
    def pick(parts: tuple[str, ...]) -> str:
        return parts[rng.integers(len(parts))]

    return "".join(pick(_ONSETS) + pick(_VOWELS) for _ in range(2)) + pick(_CODAS)


def align(caption: str, trigger: str) -> str:
    """A caption with its trigger.

    >>> align("a red kite", "zorkev")
    'zorkev a red kite'
    """
    return f"{trigger} {caption}"
