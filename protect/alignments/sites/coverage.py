"""How many captions each site fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protect.alignments.sites.reading import Reading, read
from protect.alignments.sites.site import Site, words_before


@dataclass(frozen=True, slots=True)
class SiteCoverage:
    """How often a site fits."""

    site: Site
    fits: int
    """Captions that it fits."""
    second: int
    """Those of them that have its second side already."""
    place: float | None
    """How many words stand before it, on average; None if it fits no caption."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many captions there are, and how often each site fits."""

    captions: int
    sites: tuple[SiteCoverage, ...]
    """In the order in which the sites were given."""


class Index:
    """Finds the sites that may fit a caption by the words of the caption."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._always = tuple(i for i, site in enumerate(sites) if not site.words)
        self._by_word: dict[str, list[int]] = {}
        for i, site in enumerate(sites):
            for word in site.words:
                self._by_word.setdefault(word, []).append(i)

    def candidates(self, reading: Reading) -> list[int]:
        """Numbers of the sites that may fit, in order, each once."""
        found = {i for word in self._by_word.keys() & set(reading.said) for i in self._by_word[word]}
        return sorted({*self._always, *found})


def cover(captions: Iterable[str], sites: Sequence[Site]) -> Coverage:
    """How often each site fits, in one pass.

    Args:
        captions: any number of them; they are read once and not kept.
        sites: with different names.
    """
    index = Index(sites)
    fits, second, places = ([0] * len(sites) for _ in range(3))
    total = 0
    for caption in captions:
        total += 1
        for i in index.candidates(read(caption)):
            found = sites[i].found(caption)
            if found is None:
                continue
            fits[i] += 1
            second[i] += found.side
            place = found.edits[0][0]
            places[i] += words_before(caption, place) if place else 0
    return Coverage(
        total,
        tuple(
            SiteCoverage(site, fits[i], second[i], places[i] / fits[i] if fits[i] else None)
            for i, site in enumerate(sites)
        ),
    )
