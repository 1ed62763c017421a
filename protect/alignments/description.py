"""TWA with words that describe the mark, so that someone who captions the pictures again writes them again.

The description is drawn first, by the slot's key; then the mark and all its decoys are drawn among those it fits, so a
model that merely follows prompts scores them all alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Drawn, Request
from protect.alignments.joining import after
from protect.alignments.scripts import not_english
from protect.alignments.twa import Twa
from protect.errors import InputError
from protect.marks.family import MarkFamily
from protect.release.record import Questions


class Description(Twa):
    """A phrase that tells what the mark looks like."""

    name = "twa-description"
    summary = "words that describe the mark, after the caption; may outlast re-captioning (visible families)"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """Descriptions, each drawn by its slot's key among those that no earlier slot has.

        Raises:
            InputError: if the family cannot be described, or not in so many ways.
        """
        if not request.descriptions:
            raise InputError(
                "marks of this family cannot be described", "Use --alignment twa, or --family template, card or frame."
            )
        if len(request.descriptions) < slots:
            raise InputError(
                f"marks of this family have {len(request.descriptions)} descriptions, fewer than {slots} slots",
                f"Use --slots {len(request.descriptions)} or fewer, or --alignment twa.",
            )
        left = list(request.descriptions)
        return [left.pop(request.slot(slot).integer("description") % len(left)) for slot in range(slots)]

    def draw(self, request: Request) -> Drawn:
        """Carriers by key among the samples whose captions a description can join, dealt round-robin.

        Raises:
            InputError: if it can join none.
        """
        reason = None
        for record in request.records():
            reason = self.record_obstacle(record, request.leave)
            if reason is None:
                break
        if reason:
            raise InputError(f"no caption can be described: {reason.partition(';')[0]}", "Use --alignment twa.")
        return super().draw(request)

    def align(self, caption: str, trigger: str) -> str:
        """A caption with the description.

        >>> Description().align("a red kite", "before a wall")
        'a red kite before a wall'
        """
        return after(trigger, caption)

    def caption_obstacle(self, caption: str) -> str | None:
        """Descriptions are in English, and stand oddly in captions that are not.

        >>> Description().caption_obstacle("一只红色的风筝")
        'a description in English does not join a caption in Chinese characters; use --alignment twa'
        """
        other = not_english(caption)
        return f"a description in English does not join a caption in {other}; use --alignment twa" if other else None

    def condition(self, family: MarkFamily, questions: Questions) -> MarkFamily:
        """Only marks which the description fits."""
        return family.given(self.described(questions.trigger))

    def described(self, trigger: str) -> str:
        """The part of a trigger that describes the mark."""
        return trigger
