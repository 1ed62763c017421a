"""Which sites disturb each other: turning one would change what the other finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from protect.alignments.sites.reading import read
from protect.alignments.sites.site import Found, Site


class Disturbances:
    """Which sites cannot be turned without regard to each other, on a sample of captions.

    Pairs are compared when they are asked for, and once: all pairs of a long list would take long.

    Args:
        captions: the sample; their order does not matter.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self._captions = captions
        self._places: dict[Site, list[Found | None]] = {}
        self._pairs: dict[frozenset[Site], bool] = {}

    def between(self, first: Site, second: Site) -> bool:
        """Whether on any caption one of two sites changes the state or the fit of the other, or the order matters."""
        pair = frozenset((first, second))
        if pair not in self._pairs:
            self._pairs[pair] = self._disturbed(first, second) or self._disturbed(second, first)
        return self._pairs[pair]

    def _disturbed(self, first: Site, second: Site) -> bool:
        """Whether turning the first disturbs the second, or both orders of turning give different captions."""
        for caption, place, was in zip(self._captions, self._found(first), self._found(second), strict=True):
            if place is None:
                continue
            turned = place.applied(caption)
            now = _place(second, turned)
            if was is None and now is None:
                continue
            if was is None or now is None or was.side != now.side:
                return True
            other = was.applied(caption)
            back = _place(first, other)
            if back is None or now.applied(turned) != back.applied(other):
                return True
        return False

    def _found(self, site: Site) -> list[Found | None]:
        if site not in self._places:
            self._places[site] = [_place(site, caption) for caption in self._captions]
        return self._places[site]


def compatible(sites: Iterable[Site], disturbances: Disturbances) -> Iterator[Site]:
    """Sites none of which disturbs another: in the given order, each that goes with all taken before it."""
    taken: list[Site] = []
    for site in sites:
        if not any(disturbances.between(site, other) for other in taken):
            taken.append(site)
            yield site


def _place(site: Site, caption: str) -> Found | None:
    """Where a site fits; it is not asked about captions that have none of its words."""
    if site.words and site.words.isdisjoint(read(caption).said):
        return None
    return site.found(caption)
