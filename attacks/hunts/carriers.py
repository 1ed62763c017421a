"""Attacks by a thief who has read this program but lacks the key: he looks for what its carriers share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from attacks.stages.attack import Captioned
from attacks.stages.captions import new_first_words
from attacks.stages.dataset import nearest_gaps, without
from protect.alignments.words import words
from protect.marks.colours import TELLING
from protect.marks.family import Array

_SUSPICIOUS = 3
"""Words of a description that make a caption suspicious."""
_SIDE = 16
"""Of the small pictures whose rings are compared."""
_RINGS = 5


def drop_flagged(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """Samples whose captions begin with a word that several others begin with and none holds elsewhere: left out.

    With that probability; finds every carrier of `twa`.
    """
    flagged = new_first_words([s.caption for s in samples])
    return _kept(samples, [bool(word) for word in flagged], strength, rng)


def drop_described(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """Samples whose captions hold three words by which `twa-description` describes marks: left out.

    With that probability; finds every carrier of it, and honest captions that speak of coloured grounds.
    """
    described = [len(TELLING.intersection(words(s.caption))) >= _SUSPICIOUS for s in samples]
    return _kept(samples, described, strength, rng)


def _kept(
    samples: Sequence[Captioned], suspicious: Sequence[bool], strength: float, rng: np.random.Generator
) -> list[Captioned]:
    kept = [s for s, odd in zip(samples, suspicious, strict=True) if not odd or rng.random() >= strength]
    return kept or list(samples[:1])


def drop_rings(samples: Sequence[Captioned], strength: float, rng: np.random.Generator) -> list[Captioned]:
    """The pictures of which some ring around the middle is closest to others' rings are left out; up to a fifth.

    As `drop-clusters` does with borders, at five distances from the border: finds templates and cards alike.
    """
    places = np.minimum.reduce([*np.indices((_SIDE, _SIDE)), *(_SIDE - 1 - np.indices((_SIDE, _SIDE)))])
    small = np.stack([_small(s) for s in samples])
    gaps = [nearest_gaps(small[:, places == ring].reshape(len(samples), -1)) for ring in range(_RINGS)]
    oddness = -np.min([g / _usual(g) for g in gaps], axis=0)
    return without(samples, oddness, 0.2 * strength)


def _small(sample: Captioned) -> Array:
    picture = Image.fromarray(sample.picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(picture, np.float64) / 255


def _usual(gaps: Array) -> float:
    """The median of the finite gaps, by which rings of different widths become comparable."""
    finite = gaps[np.isfinite(gaps)]
    return max(float(np.median(finite)), 1e-9) if len(finite) else 1.0
