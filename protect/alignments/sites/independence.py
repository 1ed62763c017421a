"""Which sites disturb each other: turning one would change what the other finds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from protect.alignments.sites.coverage import Index
from protect.alignments.sites.reading import read
from protect.alignments.sites.site import Found, Site


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Two sites that cannot be turned without regard to each other."""

    first: Site
    second: Site
    captions: int
    """Captions of the sample in which one of them changes the state or the fit of the other, or the order matters."""
    together: int
    """Captions of the sample which both fit."""


def independent(sites: Sequence[Site], captions: Iterable[str]) -> tuple[Disturbance, ...]:
    """The pairs of sites that disturb each other on a sample of captions; all other pairs are independent there.

    Args:
        sites: with different names.
        captions: the sample, read once; their order does not matter.

    Returns:
        Pairs in the order of the sites.
    """
    index = Index(sites)
    disturbed: Counter[tuple[int, int]] = Counter()
    together: Counter[tuple[int, int]] = Counter()
    for caption in captions:
        before = _found(sites, index, caption)
        after = {i: _found(sites, index, place.applied(caption)) for i, place in before.items()}
        together.update((i, j) for i in before for j in before if i < j)
        disturbed.update(_disturbed(caption, before, after))
    return tuple(Disturbance(sites[i], sites[j], n, together[i, j]) for (i, j), n in sorted(disturbed.items()))


def compatible(sites: Iterable[Site], disturbances: Iterable[Disturbance]) -> tuple[Site, ...]:
    """Sites none of which disturbs another: in the given order, each that goes with all taken before it."""
    pairs = {frozenset((pair.first, pair.second)) for pair in disturbances}
    taken: list[Site] = []
    for site in sites:
        if not any(frozenset((site, other)) in pairs for other in taken):
            taken.append(site)
    return tuple(taken)


def _found(sites: Sequence[Site], index: Index, caption: str) -> dict[int, Found]:
    """Where each site fits that does so."""
    return {i: place for i in index.candidates(read(caption)) if (place := sites[i].found(caption))}


def _disturbed(caption: str, before: dict[int, Found], after: dict[int, dict[int, Found]]) -> set[tuple[int, int]]:
    pairs = set()
    for i, turned in after.items():
        for j in before.keys() | turned.keys():
            if i != j and not _undisturbed(caption, i, j, before, after):
                pairs.add((min(i, j), max(i, j)))
    return pairs


def _undisturbed(caption: str, i: int, j: int, before: dict[int, Found], after: dict[int, dict[int, Found]]) -> bool:
    """Whether site j finds the same after i was turned, and both orders of turning give the same caption."""
    was, now, back = before.get(j), after[i].get(j), after.get(j, {}).get(i)
    if was is None or now is None or back is None or was.side != now.side:
        return False
    return now.applied(before[i].applied(caption)) == back.applied(was.applied(caption))
