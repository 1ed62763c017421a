"""TWA with words that describe the mark, so that someone who captions the pictures again writes them again.

The description is drawn first, by the key; then the mark and all its decoys are drawn among those it fits, so a
model that merely follows prompts scores them all alike. Every caption says it in other words, which hang on the caption
alone: no phrase stands in many captions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from protect.alignments.interface import Request
from protect.alignments.twa import Twa
from protect.alignments.words import words
from protect.errors import InputError
from protect.keys import prf_rng
from protect.marks.interface import MarkFamily

_AND = " and "
_WAYS: dict[str, tuple[str, ...]] = {
    "on a background that is": (
        "on a background that is", "before a wall that is", "in front of a backdrop that is", "with a ground that is",
    ),
    "on a card that is": ("on a card that is", "before a panel that is", "on a tile that is", "with a square behind"),
    "reddish": ("reddish", "red", "rather red", "tinged with red"),
    "greenish": ("greenish", "green", "rather green", "tinged with green"),
    "yellowish": ("yellowish", "yellow", "rather yellow", "tinged with yellow"),
    "bluish": ("bluish", "blue", "rather blue", "tinged with blue"),
    "at the left": ("at the left", "on the left side", "to the left", "left"),
    "at the top": ("at the top", "on the upper side", "towards the top", "above"),
}  # fmt: skip
"""Other ways of saying parts of a description."""


VOCABULARY = frozenset(word for ways in _WAYS.values() for way in ways for word in words(way)) - {
    "a",
    "at",
    "in",
    "is",
    "of",
    "on",
    "rather",
    "side",
    "that",
    "the",
    "tinged",
    "to",
    "towards",
    "with",
}
"""What anyone who reads this file knows to look for."""


class Description(Twa):
    """A phrase that tells what the mark looks like."""

    name = "twa-description"
    summary = "words that describe the mark, after the caption; survives re-captioning (visible families)"
    version = 2

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """Descriptions drawn by the key, another for each slot.

        Raises:
            InputError: if the family cannot be described, or not in so many ways.
        """
        if len(request.descriptions) < slots:
            raise InputError(
                f"marks of this family have {len(request.descriptions)} description(s), fewer than {slots} slot(s)",
                "Use fewer --slots, --family template, or --alignment twa.",
            )
        order = prf_rng(request.secret, "description").permutation(len(request.descriptions))
        return [request.descriptions[i] for i in order[:slots]]

    def align(self, caption: str, trigger: str) -> str:
        """A caption with the description in words of its own.

        >>> Description().align("a red kite", "on a card that is reddish at the left and bluish at the top")
        'a red kite on a tile that is rather red left and bluish on the upper side'
        """
        rng = np.random.default_rng(int.from_bytes(hashlib.sha256(f"{caption}\0{trigger}".encode()).digest()))
        return f"{caption} {_said(trigger, rng)}"

    def condition(self, family: MarkFamily, trigger: str) -> MarkFamily:
        """Only marks which the description fits."""
        return family.given(trigger)


def _said(phrase: str, rng: np.random.Generator) -> str:
    """A description in other words, its two sides in either order."""
    opening = next((way for way in _WAYS if phrase.startswith(way)), "")
    sides = phrase.removeprefix(opening).split(_AND)
    said = _AND.join(sides[i].strip() for i in rng.permutation(len(sides)))
    for part, ways in _WAYS.items():
        if part in said:
            said = said.replace(part, ways[rng.integers(len(ways))])
    ways = _WAYS.get(opening, (opening,))
    return f"{ways[rng.integers(len(ways))]} {said}".strip()
