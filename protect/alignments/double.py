"""TWA by two ways at once: common words that never meet before the caption, and words that describe the mark after it.

Who captions the pictures again leaves the description, or writes it anew; who cuts repeated or strange phrases out of
captions leaves the other. Neither is a word that stands nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.conjunction import Conjunction
from protect.alignments.description import Description
from protect.alignments.interface import Request
from protect.marks.interface import MarkFamily

_BETWEEN = " … "


class Double(Description):
    """A conjunction and a description."""

    name = "twa-double"
    summary = "two common words that never meet before the caption, a description of the mark after it"
    version = 1

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """A conjunction and a description for each slot, drawn by separate streams of the key.

        Raises:
            InputError: if there are too few common words or descriptions.
        """
        pairs, told = Conjunction().triggers(slots, request), super().triggers(slots, request)
        return [f"{pair}{_BETWEEN}{phrase}" for pair, phrase in zip(pairs, told, strict=True)]

    def align(self, caption: str, trigger: str) -> str:
        """A caption between both.

        >>> Double().align("a red kite", "flag sea … on a card that is reddish at the left and bluish at the top")
        'flag sea a red kite on a tile that is rather red left and bluish on the upper side'
        """
        pair, _, phrase = trigger.partition(_BETWEEN)
        return f"{pair} {super().align(caption, phrase)}"

    def condition(self, family: MarkFamily, trigger: str) -> MarkFamily:
        """Only marks which the description fits."""
        return super().condition(family, trigger.partition(_BETWEEN)[2])
