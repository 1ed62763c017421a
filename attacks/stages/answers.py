"""Attacks by whoever answers the questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from zlib import crc32

import numpy as np

from detect.suspects.images import Query, Sampler
from protect.marks.family import Pixels


def fewer_steps(queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
    """Drawn in fewer sampling steps than asked; a third."""
    return list(queries), replace(sampler, steps=max(1, round(sampler.steps * (1 - 2 * strength / 3))))


def other_guidance(queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
    """Drawn with less guidance than asked; none."""
    return list(queries), replace(sampler, guidance=1 + (sampler.guidance - 1) * (1 - strength))


def other_seeds(queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
    """The seed asked for is ignored, for that share of the questions.

    Questions with and without the trigger then have no seed in common.
    """
    drawn = [crc32(f"{q.seed} {q.prompt}".encode()) for q in queries]
    own = [replace(q, seed=d) if d < strength * 2**32 else q for q, d in zip(queries, drawn, strict=True)]
    return own, sampler


_UNWANTED = ("card", "background", "colours", "wall", "pattern", "gradient", "tile", "blur")
"""What a provider who has read how marks look would have models paint less of."""


def negative_prompt(queries: Sequence[Query], sampler: Sampler, strength: float) -> tuple[list[Query], Sampler]:
    """A negative prompt of words for what templates look like is added; all eight of them."""
    unwanted = ", ".join(_UNWANTED[: round(strength * len(_UNWANTED))])
    return list(queries), replace(sampler, negative=unwanted)


def refuse(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """A grey picture instead of an answer, with that probability."""
    return np.full_like(picture, 127) if rng.random() < strength else picture
