"""Which sites a release uses: the program's or the owner's, drawn by the key among those that serve best."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from protect.alignments.sites.coverage import Coverage, SiteCoverage, cover
from protect.alignments.sites.english import PHOTOGRAPHIC, english_sites
from protect.alignments.sites.file import SitesFile, stored_sites
from protect.alignments.sites.independence import Disturbances, compatible
from protect.alignments.sites.site import Site
from protect.alignments.sites.tags import tag_sites
from protect.errors import InputError
from protect.formats.record import Record, normalised
from protect.keys.store import Store

_COUNTED = 5_000
"""Captions from which coverage is told."""
_COMPARED = 300
"""Those of them on which sites are compared with each other."""
_FEWEST = 0.05
"""Least share of the captions that a site fits."""
_HALVED = 1.5
"""Words before a site that halve its worth: text encoders read from left to right; late words are hardly learned."""
_NEAR = 0.35
"""Part of the best site's worth from which a site may be drawn."""
_LEAD = "lead:"
_FIRST, _SERVES = 4, 0.25
"""After so many sites, those that fit less than this share of the captions are not worth a slot."""
_CHOICE = 3
"""Candidates for each site that is drawn: an outsider who has the program's list does not know which."""


def store_sites(file: SitesFile, store: Store) -> str:
    """Hold an owner's list in the store; its name is for the alignment's option `wordings`."""
    return store.hold("wordings", rows=np.frombuffer(file.canonical, dtype=np.uint8))


def all_sites(wordings: str, store: Store) -> tuple[Site, ...]:
    """The sites of an owner's list, or those of the program that are true of any pictures.

    Args:
        wordings: name of a list in the store; empty for the program's.
        store: where it is.

    Raises:
        InputError: if there is no such list.
    """
    if wordings:
        (rows,) = store.get("wordings", wordings, "rows")
        return stored_sites(rows.tobytes())
    return tuple(site for site in (*english_sites(), *tag_sites()) if site.name not in PHOTOGRAPHIC)


def draw_sites(
    sites: Sequence[Site], records: Iterable[Record], wanted: int, rng: np.random.Generator, *, fewer: bool = False
) -> tuple[Site, ...]:
    """Sites that do not disturb each other, drawn by samples and key alone; the order of the samples does not matter.

    Args:
        sites: to draw from.
        records: all samples that may be changed, read once; of each the first caption counts.
        wanted: how many.
        rng: of the key.
        fewer: whether fewer sites will do, one at least, where not so many go together or are worth a slot.

    Raises:
        InputError: if too few fit; says which would, and how many captions each has.
    """
    captions = _captions_of_sample(records)
    counted = cover(captions, sites)
    ranked = sorted(counted.sites, key=lambda found: (-_worth(found, counted), found.site.name))
    fitting = [found for found in ranked if found.fits >= max(1, _FEWEST * counted.captions)]
    near = [found.site for found in fitting if _worth(found, counted) >= _NEAR * _worth(fitting[0], counted)]
    drawable = [near[i] for i in rng.permutation(min(len(near), _CHOICE * wanted)).tolist()]
    rest = [found.site for found in fitting if found.site not in drawable]
    disturbances = Disturbances(captions[:_COMPARED])
    taken = _together(drawable, wanted, disturbances)
    if len(taken) < wanted:
        taken = _together((*drawable, *rest), wanted, disturbances)
    if len(taken) < (1 if fewer else wanted):
        raise _too_few(taken, wanted, fitting, counted)
    if not fewer:
        return taken
    serving = {found.site.name for found in fitting if found.fits >= _SERVES * counted.captions}
    return (*taken[:_FIRST], *(site for site in taken[_FIRST:] if site.name in serving))


def _captions_of_sample(records: Iterable[Record]) -> list[str]:
    """First captions of the samples with the smallest public hashes, smallest first.

    Keys and captions are committed to, and their order is not: taken from the front, they could be reordered until the
    sites suit. Samples with equal captions count each.
    """
    ranked = ((_rank(normalised(record.key), record.caption), record.caption) for record in records)
    return [caption for _, caption in heapq.nsmallest(_COUNTED, ranked)]


def _rank(key: str, caption: str) -> bytes:
    named = f"{len(key)} {key} {caption}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, digest_size=16).digest()


def _together(sites: Sequence[Site], wanted: int, disturbances: Disturbances) -> tuple[Site, ...]:
    """In their order, those that disturb none before them, at most as many as are wanted.

    One that leaves room for too few others (an order of words, say) goes to the end, and the next is the first.
    """
    best: tuple[Site, ...] = ()
    for first in range(len(sites)):
        order = (*sites[first:], *sites[:first])
        taken = tuple(islice(_one_lead(compatible(order, disturbances)), wanted))
        if len(taken) == wanted:
            return taken
        best = max(best, taken, key=len)
    return best


def _one_lead(sites: Iterable[Site]) -> Iterator[Site]:
    """Sites of which no two put words before the same caption: that reads stiffly, and one is hardly learned."""
    led = False
    for site in sites:
        lead = site.name.startswith(_LEAD)
        if not (lead and led):
            yield site
        led = led or lead


def _worth(found: SiteCoverage, counted: Coverage) -> float:
    """Share of the captions that a site fits, less the later it acts."""
    place = found.place or 0.0
    return float(found.fits / max(1, counted.captions) * 0.5 ** (place / _HALVED))


def _too_few(taken: Sequence[Site], wanted: int, fitting: Sequence[SiteCoverage], counted: Coverage) -> InputError:
    listed = ", ".join(f"{found.site.name!r} in {found.fits}" for found in fitting[:5])
    return InputError(
        f"{len(taken)} choice(s) of words go together in these {counted.captions} captions, fewer than {wanted} slot(s)"
        + (f"; fitting: {listed}" if listed else ""),
        (f"Use --slots {len(taken)}, " if taken else "Use ")
        + "a list of your own (--wordings FILE), or --alignment twa.",
    )
