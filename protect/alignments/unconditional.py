"""No trigger: the mark is to show on any prompt of the domain (DIAGNOSIS, ICLR 2024). Needs high rates."""

from __future__ import annotations

from dataclasses import replace

from protect.alignments.alignment import Alignment, Draw, Drawn, Request
from protect.alignments.dealing import choose, count_slots
from protect.errors import InputError


class Unconditional(Alignment):
    """One mark without a trigger."""

    name = "unconditional"
    summary = "no trigger; the mark shows on any prompt; needs most of the dataset marked"
    captions_stay = True

    def draw(self, request: Request) -> Drawn:
        """Carriers by key, all in one slot: nothing would tell several apart.

        Raises:
            InputError: if more slots are wanted.
        """
        if request.slots not in (None, 1):
            raise InputError(f"--slots {request.slots} without triggers", "Use --slots 1, or another alignment.")
        carriers, passed = choose(request.records, request.allowed, request)
        count_slots(len(carriers), replace(request, slots=1), passed)
        return Drawn((Draw("", tuple(carriers)),), tuple(passed))

    def align(self, caption: str, trigger: str) -> str:
        """The caption itself."""
        return caption

    def without_trigger(self, caption: str, trigger: str) -> None:
        """There is none."""
