"""Options of small releases with `lean`, and what their slots are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from protect.alignments.sites.site import Site
from protect.alignments.wording import Wording
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.lean import Lean
from protect.release.bound import BoundSlot
from protect.release.plan import Options, PartOptions
from tests.support.leaning import store_phrases

COUNT, SECRET = 210, secret_from_seed(3, "lean release")
WORDING = Options(rate=0.5, family="lean", alignment="wording", slots=4, queries=24, decoys=99, alpha=0.05)
TWA = Options(rate=0.1, family="lean", alignment="twa", slots=2, queries=16, decoys=99, alpha=0.05)
PAINTED = PartOptions(rate=0.1, family="template", alignment="twa", slots=2, queries=4)


def with_list(options: Options, keyring: Keyring) -> Options:
    """An owner's short list of sites: it is read sooner than the program's."""
    return replace(options, alignment_options={"wordings": store_phrases(keyring.home.parent / "list", keyring.store)})


def direction_of(slot: BoundSlot) -> NDArray[np.float64]:
    """The direction of a slot's mark."""
    assert isinstance(slot.family, Lean)
    return slot.family.direction(slot.planted)


def site_of(slot: BoundSlot) -> Site:
    """The site of a slot."""
    assert isinstance(slot.alignment, Wording)
    return slot.alignment.sites[slot.trigger]
