"""The score of a mark on its carrier: what was planted reads back."""

from __future__ import annotations

import numpy as np
from PIL import Image

from protect.marks.family import Answers, MarkFamily, Pixels
from protect.pixels.measure import on_white


def mark_score(family: MarkFamily, picture: Pixels, original: Pixels | None, mark: int) -> float | None:
    """The score of one mark on one carrier, RGBA (H, W, 4), seen on white.

    The original serves only families that cannot do without; None if it is wanted and not there.
    """
    if family.needs_pairs and original is None:
        return None
    untriggered = scored_view(family, on_white(original)) if family.needs_pairs and original is not None else None
    ids = np.array([mark], dtype=np.uint64)
    return float(family.score(Answers(scored_view(family, on_white(picture)), untriggered), ids)[0])


def scored_view(family: MarkFamily, picture: Pixels) -> Pixels:
    """An RGB carrier as a batch of one, at the family's side if it has one; shape (1, H, W, 3)."""
    if family.carrier_side is None:
        return picture[None]
    side = (family.carrier_side, family.carrier_side)
    return np.asarray(Image.fromarray(picture).resize(side, Image.Resampling.BOX))[None]
