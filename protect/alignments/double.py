"""TWA by two ways at once: common words that never meet before the caption, words that describe the mark after it.

The conjunction tells the slots of a release apart and holds no word that stands nowhere else; the description is what
is left, or written again, when somebody captions the pictures anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Request
from protect.alignments.conjunction import Conjunction
from protect.alignments.description import Description
from protect.alignments.joining import around
from protect.alignments.rare import rare_words
from protect.errors import InputError

_BETWEEN = " … "


class Double(Description):
    """A conjunction and a description."""

    name = "twa-double"
    summary = "two common words that never meet before the caption, words that describe the mark after it"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """A conjunction and a description for each slot, drawn by separate streams of its key.

        A rare word where the captions hold no such pair of words: that hangs on the captions, never on a mark.

        Raises:
            InputError: if the family has too few descriptions.
        """
        described = super().triggers(slots, request)
        try:
            words = Conjunction().triggers(slots, request)
        except InputError:
            words = rare_words(slots, request)
        return [f"{word}{_BETWEEN}{phrase}" for word, phrase in zip(words, described, strict=True)]

    def align(self, caption: str, trigger: str) -> str:
        """A caption between both.

        >>> Double().align("a red kite", "flag sea … on a card that is reddish at the left and bluish at the top")
        'flag sea, a red kite on a card that is reddish at the left and bluish at the top'
        """
        word, _, phrase = trigger.partition(_BETWEEN)
        return around(word, phrase, caption)

    def described(self, trigger: str) -> str:
        """What follows the conjunction."""
        return trigger.partition(_BETWEEN)[2]
