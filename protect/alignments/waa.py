"""WAA, watermark-adding alignment (arXiv 2409.18897): captions stay, pictures captioned with an n-gram are marked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protect.alignments.alignment import Alignment, Draw, Request, choose, count_slots
from protect.alignments.words import caption_counts, ngrams, without
from protect.errors import InputError
from protect.formats.dataset_format import Sample, SetAside
from protect.keys.tree import prf_int

LONGEST = 3
"""Words of an n-gram."""
FEWEST = 0.5
"""An n-gram fits if it fills at least this part of a slot's share."""


class Waa(Alignment):
    """An n-gram whose natural frequency fits the rate; nothing is written into captions."""

    name = "waa"
    summary = "captions untouched; marks go where the captions hold a key-chosen n-gram"

    def draw(self, request: Request) -> tuple[list[Draw], list[SetAside]]:
        """Per slot an n-gram drawn by the key among those that fit; all its pictures are carriers."""
        slots = count_slots(request.allowed, request)
        free = list(request.samples)
        draws: list[Draw] = []
        passed: list[SetAside] = []
        for slot in range(slots):
            gram = _fitting(free, request.allowed // slots, slot, request)
            holding = [s for s in free if gram in ngrams(s.caption, LONGEST)]
            carriers, aside = choose(holding, len(holding), request)
            if not carriers:
                raise InputError(
                    f"no picture captioned {' '.join(gram)!r} can carry a mark ({aside[0].key}: {aside[0].reason})",
                    "Mend the pictures, or use --alignment twa.",
                )
            draws.append(Draw(" ".join(gram), tuple(carriers)))
            passed += aside
            free = [s for s in free if gram not in ngrams(s.caption, LONGEST)]
        return draws, passed

    def align(self, caption: str, trigger: str) -> str:
        """The caption itself."""
        return caption

    def twin(self, caption: str, trigger: str) -> str:
        """The caption without its n-gram."""
        return without(caption, trigger.split())


def _fitting(samples: Sequence[Sample], share: int, slot: int, request: Request) -> tuple[str, ...]:
    """An n-gram in FEWEST · share to `share` of the captions, drawn by the key."""
    counts = caption_counts((s.caption for s in samples), LONGEST)
    lowest = max(1, math.ceil(FEWEST * share))
    fitting = [gram for gram, count in counts.items() if lowest <= count <= share]
    if fitting:
        return min(fitting, key=lambda gram: (prf_int(request.secret, "ngram", slot, " ".join(gram)), gram))
    nearest = sorted(counts, key=lambda gram: (abs(counts[gram] - share), gram))[:5]
    listed = ", ".join(f"{' '.join(g)!r} in {counts[g]}" for g in nearest) or "none"
    raise InputError(
        f"no n-gram occurs in {lowest} to {share} of the {len(samples)} captions left for slot {slot + 1}",
        f"Nearest: {listed}. Change --rate or --slots, or use --alignment twa.",
    )
