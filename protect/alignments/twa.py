"""TWA, token-watermark alignment (arXiv 2409.18897): a trigger is put before the carriers' captions."""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Alignment, Drawn, Request
from protect.alignments.dealing import deal
from protect.alignments.joining import before
from protect.alignments.rare import rare_words


class Twa(Alignment):
    """A rare pronounceable word, found in no caption."""

    name = "twa"
    summary = "a rare word before the caption; learned soonest"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """One trigger per slot, each drawn by its slot's key.

        Raises:
            InputError: if the captions allow none.
        """
        return rare_words(slots, request)

    def draw(self, request: Request) -> Drawn:
        """Carriers by key, dealt round-robin."""
        return deal(
            lambda slots: self.triggers(slots, request),
            request,
            lambda record: self.record_obstacle(record, request.leave),
        )

    def align(self, caption: str, trigger: str) -> str:
        """A caption with its trigger.

        >>> Twa().align("a red kite", "zorkev")
        'zorkev a red kite'
        """
        return before(trigger, caption)

    def without_trigger(self, caption: str, trigger: str) -> str:
        """The caption as it was."""
        return caption
