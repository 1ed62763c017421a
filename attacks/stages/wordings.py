"""What a thief does who knows the program's list of choices of words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from protect.alignments.sites.draw import all_sites
from protect.alignments.sites.site import FIRST
from protect.keys.store import NO_STORE


def unify(captions: Sequence[str], strength: float, rng: np.random.Generator) -> list[str]:
    """Every choice of words that he knows is made one way, the first.

    At strength 1 he knows all of the program's list, below 1 that share of it, drawn at random. An owner's own list
    (`--wordings FILE`) is a list of which he knows only what the program has too.
    """
    known = [site for site in all_sites("", NO_STORE) if rng.random() < strength]
    out = []
    for caption in captions:
        for site in known:
            caption = site.turned(caption, FIRST)
        out.append(caption)
    return out
