"""Attacks by a thief who has read this program but lacks the key: he looks for what its carriers share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from attacks.stages.attack import DatasetAttack, Item
from attacks.stages.captions import new_first_words
from attacks.stages.dataset import likest, without
from protect.alignments.words import words
from protect.marks.colours import TELLING

_TOLD = 3
"""Words of a description that make a caption suspicious."""
_SIDE = 16
"""Of the small pictures whose rings are compared."""
_RINGS = 5


def drop_flagged(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Samples whose captions begin with a word that several others begin with and none holds elsewhere: left out.

    With that probability; finds every carrier of `twa`.
    """
    flagged = new_first_words([item.caption for item in items])
    return _kept(items, [bool(word) for word in flagged], strength, rng)


def drop_described(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Samples whose captions hold three words by which `twa-description` describes marks: left out.

    With that probability; finds every carrier of it, and honest captions that speak of coloured grounds.
    """
    told = [len(TELLING.intersection(words(item.caption))) >= _TOLD for item in items]
    return _kept(items, told, strength, rng)


def _kept(items: Sequence[Item], suspicious: Sequence[bool], strength: float, rng: np.random.Generator) -> list[Item]:
    kept = [i for i, odd in zip(items, suspicious, strict=True) if not odd or rng.random() >= strength]
    return kept or list(items[:1])


def drop_rings(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures of which some ring around the middle is closest to others' rings are left out; up to a fifth.

    As `drop-clusters` does with borders, at five distances from the border: finds templates and cards alike.
    """
    small = np.stack(
        [
            np.asarray(Image.fromarray(i.picture).resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64) / 255
            for i in items
        ]
    )
    places = np.minimum.reduce([*np.indices((_SIDE, _SIDE)), *(_SIDE - 1 - np.indices((_SIDE, _SIDE)))])
    gaps = [likest(list(small[:, places == k].reshape(len(items), -1))) for k in range(_RINGS)]
    usual = [max(float(np.median(g[np.isfinite(g)])), 1e-9) if np.isfinite(g).any() else 1.0 for g in gaps]
    return without(items, -np.min([g / u for g, u in zip(gaps, usual, strict=True)], axis=0), 0.2 * strength)


ATTACKS = (
    DatasetAttack("drop-flagged", "samples whose captions begin with a suspicious word are left out", drop_flagged),
    DatasetAttack("drop-described", "samples whose captions describe a mark are left out", drop_described),
    DatasetAttack("drop-rings", "pictures with a ring like others' are left out, up to a fifth", drop_rings),
)
