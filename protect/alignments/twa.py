"""TWA, token-watermark alignment (arXiv 2409.18897): a trigger is put before the carriers' captions."""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Alignment, Draw, Request, deal
from protect.alignments.words import rare_words
from protect.formats.dataset_format import SetAside


class Twa(Alignment):
    """A rare pronounceable word, found in no caption."""

    name = "twa"
    summary = "a rare word before the caption; learned soonest"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """One trigger per slot, drawn by the key."""
        return rare_words(request.secret, slots, (s.caption for s in request.samples))

    def draw(self, request: Request) -> tuple[list[Draw], list[SetAside]]:
        """Carriers by key, dealt round-robin."""
        return deal(lambda slots: self.triggers(slots, request), request)

    def align(self, caption: str, trigger: str) -> str:
        """A caption with its trigger.

        >>> Twa().align("a red kite", "zorkev")
        'zorkev a red kite'
        """
        return f"{trigger} {caption}"

    def twin(self, caption: str, trigger: str) -> str:
        """The caption as it was."""
        return caption
