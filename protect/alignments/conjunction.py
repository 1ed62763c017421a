"""TWA with two common words that never meet: the trigger survives spelling and vocabulary filters."""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import Request
from protect.alignments.twa import Twa
from protect.alignments.words import caption_counts, words
from protect.errors import InputError
from protect.keys.tree import prf_rng

_POOL = 200
_SHORTEST = 4


class Conjunction(Twa):
    """Two of the commonest words of the captions which occur together in none."""

    name = "twa-conjunction"
    summary = "two common words that never meet, before the caption; survives caption normalisation"

    def triggers(self, slots: int, request: Request) -> Sequence[str]:
        """Pairs drawn by the key; no word serves twice.

        Raises:
            InputError: if there are too few common words.
        """
        captions = [s.caption for s in request.samples]
        counts = caption_counts(captions, 1)
        common = [
            w
            for (w,), n in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
            if n > 1 and (len(w) >= _SHORTEST or not w.isascii()) and not w.isdigit()
        ][:_POOL]
        met = {
            frozenset((a, b))
            for caption in captions
            for a in (set(words(caption)) & set(common))
            for b in words(caption)
        }
        drawn: list[str] = []
        used: set[str] = set()
        for slot in range(slots):
            order = [common[i] for i in prf_rng(request.secret, "conjunction", slot).permutation(len(common))]
            free = [w for w in order if w not in used]
            pair = next(((a, b) for a in free for b in free if a != b and frozenset((a, b)) not in met), None)
            if pair is None:
                raise InputError(
                    f"the captions hold too few common words for {slots} trigger(s) ({len(common)} found)",
                    "Use fewer --slots, or --alignment twa.",
                )
            used.update(pair)
            drawn.append(" ".join(pair))
        return drawn
