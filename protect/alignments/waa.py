"""WAA, watermark-adding alignment (arXiv 2409.18897): captions stay, pictures captioned with an n-gram are marked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from protect.alignments.alignment import Alignment, Draw, Drawn, Request
from protect.alignments.dealing import choose, count_slots
from protect.alignments.ngrams import Found, GramHasher, Hashes, Places, Sketch, find, mixed, sketch
from protect.alignments.words import without
from protect.errors import InputError
from protect.formats.record import Record, SetAside

FEWEST = 0.5
"""An n-gram fits if it fills at least this part of a slot's share."""
_CANDIDATES = (4, 64)
"""N-grams among which a slot finds its own: the first slots' n-grams take samples from the later ones'."""
_OCCURRENCES = 2_000_000
"""Occurrences of all candidates together that are held, if four candidates a slot do not take more."""


class Waa(Alignment):
    """An n-gram whose natural frequency fits the rate; nothing is written into captions."""

    name = "waa"
    summary = "captions untouched; marks go where the captions hold a key-chosen n-gram"
    captions_stay = True

    def draw(self, request: Request) -> Drawn:
        """Per slot an n-gram drawn by its key among those that fit; all its pictures are carriers.

        Only the caption that most trainers read counts, and of it only what the text encoder reads.

        Raises:
            InputError: if too few n-grams fit; names the nearest.
        """
        slots = count_slots(request.allowed, request)
        hasher = GramHasher(request.slot(0).integer("n-grams"))
        chosen, holders = _choose_grams(slots, request, hasher)
        records = _fetch(request, holders, slots)
        draws: list[Draw] = []
        passed: list[SetAside] = []
        for gram, holding in zip(chosen, records, strict=True):
            carriers, aside = choose(holding.__iter__, len(holding), request)
            if not carriers:
                raise InputError(
                    f"no picture captioned {gram!r} can carry a mark ({aside[0].key}: {aside[0].reason})",
                    "Mend the pictures, or use --alignment twa.",
                )
            draws.append(Draw(gram, tuple(carriers)))
            passed += aside
        return Drawn(tuple(draws), tuple(passed))

    def align(self, caption: str, trigger: str) -> str:
        """The caption itself."""
        return caption

    def without_trigger(self, caption: str, trigger: str) -> str:
        """The caption without its n-gram."""
        return without(caption, trigger.split())


def _captions(request: Request) -> Iterator[str]:
    return (record.caption for record in request.records())


def _bounds(slots: int, request: Request) -> tuple[int, int]:
    """Fewest and most samples that hold a slot's n-gram."""
    share = request.allowed // slots
    return max(1, math.ceil(FEWEST * share)), share


def _choose_grams(slots: int, request: Request, hasher: GramHasher) -> tuple[list[str], dict[int, int]]:
    """The slots' n-grams, and the slot of every sample that holds one: the first of those it could go to."""
    lowest, share = _bounds(slots, request)
    counted = sketch(_captions(request), hasher)
    fitting = counted.hashes[(counted.counts >= lowest) & (counted.counts <= share)]
    if not len(fitting):
        raise _nothing_fits(counted, 0, slots, request, hasher)
    tried = [_first_by_key(fitting, slot, slots * share, request) for slot in range(slots)]
    wanted = np.unique(np.concatenate(tried))
    found = find(_captions(request), hasher, wanted)
    chosen: list[str] = []
    holders: dict[int, int] = {}
    for slot, candidates in enumerate(tried):
        taken = _first_that_fits(np.searchsorted(wanted, candidates), found, holders, (lowest, share))
        if taken is None:
            raise _nothing_fits(counted, slot, slots, request, hasher)
        chosen.append(found.texts[taken])
        free = [owner for owner in found.holders(taken).tolist() if owner not in holders]
        holders |= dict.fromkeys(free, slot)
    return chosen, holders


def _first_by_key(fitting: Hashes, slot: int, samples: int, request: Request) -> Hashes:
    """A slot's candidates in the order in which its key tries them."""
    least, most = _CANDIDATES
    held = max(least, min(most, _OCCURRENCES // samples))
    key = np.uint64(request.slot(slot).integer("n-gram"))
    return fitting[np.argsort(mixed(fitting ^ key), kind="stable")[:held]]


def _first_that_fits(
    candidates: Sequence[int] | Places, found: Found, holders: dict[int, int], bounds: tuple[int, int]
) -> int | None:
    """The first candidate that enough samples hold which no earlier slot has."""
    taken = np.fromiter(holders, dtype=np.int64, count=len(holders))
    for candidate in candidates:
        free = np.setdiff1d(found.holders(int(candidate)), taken)
        if bounds[0] <= len(free) <= bounds[1]:
            return int(candidate)
    return None


def _fetch(request: Request, holders: dict[int, int], slots: int) -> list[list[Record]]:
    """The samples of each slot."""
    records: list[list[Record]] = [[] for _ in range(slots)]
    for place, record in enumerate(request.records()):
        if place in holders:
            records[holders[place]].append(record)
    return records


def _nothing_fits(counted: Sketch, slot: int, slots: int, request: Request, hasher: GramHasher) -> InputError:
    lowest, share = _bounds(slots, request)
    nearest = np.lexsort((counted.hashes, np.abs(counted.counts - share)))[:5]
    texts = find(_captions(request), hasher, counted.hashes[nearest]).texts if len(nearest) else ()
    listed = ", ".join(f"{text!r} in {count}" for text, count in zip(texts, counted.counts[nearest], strict=True))
    among = "" if counted.whole else f" ({len(counted.hashes):,} of the n-grams were looked at)"
    return InputError(
        f"no n-gram occurs in {lowest} to {share} of the {request.count} captions"
        + (f" for slot {slot + 1}, apart from earlier slots' samples" if slot else "")
        + among,
        f"Nearest: {listed or 'none'}. Change --rate or --slots, or use --alignment twa.",
    )
