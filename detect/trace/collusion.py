"""What recipients can make of their copies together: pure functions of the choices of words in each copy.

A copy of a release with choices of words (`protect.alignments.wording`) is, beside what all copies share, a side for
every sample and site. Colluders see where their copies differ, word by word, and nothing else tells them a mark.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from protect.alignments.sites.site import Site

Choices = NDArray[np.int8]
"""Side at each site, 0 or 1; `NONE` where the site does not fit the caption."""
NONE = -1


@dataclass(frozen=True, slots=True)
class Merged:
    """A training set made of several copies."""

    samples: NDArray[np.intp]
    """Which sample each row is, shape (m,); one may stand several times, or not at all."""
    choices: Choices
    """Its sides, shape (m, K)."""


Strategy = Callable[[Choices, np.random.Generator], Merged]
"""From the copies, shape (c, n, K), to what is trained on."""


def by_sample(copies: Choices, rng: np.random.Generator) -> Merged:
    """Every sample as one of the copies has it."""
    count = copies.shape[1]
    return _all(copies[rng.integers(0, len(copies), count), np.arange(count)])


def by_site(copies: Choices, rng: np.random.Generator) -> Merged:
    """Every site as one of the copies has it, each copy for as many sites as the others."""
    sites = copies.shape[2]
    owner = rng.permutation(np.arange(sites) % len(copies))
    return _all(np.stack([copies[owner[site], :, site] for site in range(sites)], axis=1))


def averaged(copies: Choices, rng: np.random.Generator) -> Merged:
    """Every single choice as one of the copies has it."""
    _, count, sites = copies.shape
    owner = rng.integers(0, len(copies), (count, sites))
    return _all(np.take_along_axis(copies, owner[None], axis=0)[0])


def majority(copies: Choices, rng: np.random.Generator) -> Merged:
    """Every single choice as most copies have it; where they are equally many, by lot."""
    share = copies.mean(axis=0)
    lot = rng.integers(0, 2, share.shape)
    return _all(np.where(share == 0.5, lot, np.where(share < 0, NONE, share > 0.5)).astype(np.int8))


def agreed_samples(copies: Choices, rng: np.random.Generator) -> Merged:
    """Only samples that are the same in all copies."""
    same = (copies == copies[0]).all(axis=(0, 2))
    return Merged(np.flatnonzero(same), copies[0][same])


def agreed_words(copies: Choices, rng: np.random.Generator) -> Merged:
    """All samples; where copies differ in a choice, it is brought to its first side, and tells nothing any more."""
    same = (copies == copies[0]).all(axis=0)
    return _all(np.where(same, copies[0], 0).astype(np.int8))


def union(copies: Choices, rng: np.random.Generator) -> Merged:
    """All samples of all copies."""
    number, count, sites = copies.shape
    return Merged(np.tile(np.arange(count), number), copies.reshape(number * count, sites))


STRATEGIES: Mapping[str, Strategy] = MappingProxyType(
    {
        "by sample": by_sample,
        "by site": by_site,
        "averaged": averaged,
        "majority": majority,
        "agreed samples": agreed_samples,
        "agreed words": agreed_words,
        "union": union,
    }
)
"""By name."""


def _all(choices: Choices) -> Merged:
    return Merged(np.arange(len(choices)), choices)


def choices_in(captions: Sequence[str], sites: Sequence[Site]) -> Choices:
    """The sides of captions, shape (n, K)."""
    found = [[site.state(caption) for site in sites] for caption in captions]
    return np.array([[NONE if side is None else side for side in row] for row in found], dtype=np.int8)


def merged_captions(
    copies: Sequence[Mapping[str, str]], sites: Sequence[Site], strategy: Strategy, rng: np.random.Generator
) -> list[tuple[str, str]]:
    """The samples, by key, with their captions, that colluders train on.

    Args:
        copies: caption of each sample by its key; all hold the same keys.
        sites: where copies may differ. Colluders need not know them: they see the words that differ.
        strategy: what they do.
        rng: their dice.
    """
    keys = list(copies[0])
    every = np.stack([choices_in([copy[key] for key in keys], sites) for copy in copies])
    merged = strategy(every, rng)
    return [
        (keys[sample], _turned(copies[0][keys[sample]], sites, sides.tolist()))
        for sample, sides in zip(merged.samples.tolist(), merged.choices, strict=True)
    ]


def _turned(caption: str, sites: Sequence[Site], sides: Sequence[int]) -> str:
    for site, side in zip(sites, sides, strict=True):
        if side != NONE:
            caption = site.turned(caption, side)
    return caption
