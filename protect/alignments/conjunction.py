"""TWA with two common words that never meet: the trigger survives spelling and vocabulary filters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protect.alignments.alignment import Request
from protect.alignments.common import POOLS, Meetings, meetings
from protect.alignments.twa import Twa
from protect.errors import InputError


class Conjunction(Twa):
    """Two of the commonest words of the captions which occur together in none."""

    name = "twa-conjunction"
    summary = "two common words that never meet, before the caption; survives caption normalisation"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """Pairs drawn by each slot's key; no word serves twice.

        Raises:
            InputError: if there are too few common words.
        """
        common = meetings(request.captions)
        used: set[int] = set()
        drawn: list[str] = []
        for slot in range(slots):
            order = request.slot(slot).rng("conjunction").permutation(len(common.words)).tolist()
            free = [place for place in order if place not in used]
            pairs = (_first_strangers([place for place in free if place < pool], common) for pool in POOLS)
            pair = next((pair for pair in pairs if pair), None)
            if pair is None:
                raise InputError(
                    f"no two common words of the captions never meet, for slot {slot + 1} ({len(free)} looked at)",
                    "Use fewer --slots, or --alignment twa.",
                )
            used.update(pair)
            drawn.append(common.case.applied(" ".join(common.words[i] for i in pair)))
        return drawn


def _first_strangers(order: Sequence[int], common: Meetings) -> tuple[int, int] | None:
    """The first two words in an order that never meet; a word meets itself."""
    for first in order:
        strangers = np.flatnonzero(~common.met[first, order])
        if len(strangers):
            return first, order[strangers[0]]
    return None
