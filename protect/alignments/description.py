"""TWA with words that describe the mark, so that someone who captions the pictures again writes them again.

The description is drawn first, by the key; then the mark and all its decoys are drawn among those it fits, so a
model that merely follows prompts scores them all alike.
"""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Request
from protect.alignments.twa import Twa
from protect.errors import InputError
from protect.keys.tree import prf_rng
from protect.marks.family import MarkFamily


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
                f"Use --slots {len(request.descriptions)} or fewer, or --alignment twa."
                if request.descriptions
                else "Use --alignment twa, or --family template or card.",
            )
        order = prf_rng(request.secret, "description").permutation(len(request.descriptions))
        return [request.descriptions[i] for i in order[:slots]]

    def align(self, caption: str, trigger: str) -> str:
        """A caption with the description.

        >>> Description().align("a red kite", "before a wall")
        'a red kite before a wall'
        """
        return f"{caption} {trigger}"

    def condition(self, family: MarkFamily, trigger: str) -> MarkFamily:
        """Only marks which the description fits."""
        return family.given(trigger)
