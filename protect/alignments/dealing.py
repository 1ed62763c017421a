"""Which samples become carriers, and how they are dealt to slots."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from protect.alignments.alignment import Draw, Drawn, Request
from protect.errors import InputError
from protect.formats.record import Record, SetAside, normalised

CARRIERS_PER_SLOT = 40
"""Enough for some 400 sightings in ten passes over the dataset (docs/decisions/0004)."""
MAX_SLOTS = 8
_SPARE, _MARGIN = 1.5, 32
"""Candidates that are held ready for each carrier wanted, and besides: some cannot carry a mark."""
_MOST_HELD = 50_000
"""However many are no use, no more candidates are held, unless more carriers are wanted."""


def choose(
    candidates: Callable[[], Iterator[Record]],
    wanted: int,
    request: Request,
    refusal: Callable[[Record], str | None] = lambda _: None,
) -> tuple[list[Record], list[SetAside]]:
    """The `wanted` usable candidates with the smallest pseudo-random ranks, smallest first; and those passed over.

    Holds a few more than `wanted` in memory, and goes over the candidates again, for the next ones, if too many of them
    are no use. No picture is looked at twice.

    Args:
        candidates: gives them from the first at each call.
        wanted: how many; fewer are given if there are no more.
        request: ranks and obstacles.
        refusal: a reason that needs no look at the picture.
    """
    carriers: list[Record] = []
    passed: list[SetAside] = []
    held, last = int(_SPARE * wanted) + _MARGIN, (-1, "")
    while len(carriers) < wanted:
        ranked = ((request.keys.carrier_rank(normalised(r.key)), r.key, r) for r in candidates())
        nearest = heapq.nsmallest(held, (row for row in ranked if row[:2] > last), key=lambda row: row[:2])
        more, aside = _usable([row[2] for row in nearest], wanted - len(carriers), request, refusal)
        carriers += more
        passed += aside
        if len(nearest) < held:
            break
        held, last = max(held, min(4 * held, _MOST_HELD)), nearest[-1][:2]
    return carriers, passed


def _usable(
    ranked: Sequence[Record], wanted: int, request: Request, refusal: Callable[[Record], str | None]
) -> tuple[list[Record], list[SetAside]]:
    carriers: list[Record] = []
    passed: list[SetAside] = []
    place = 0
    while len(carriers) < wanted and place < len(ranked):
        batch = ranked[place : place + wanted - len(carriers)]
        place += len(batch)
        refused = [refusal(record) for record in batch]
        looked = iter(request.obstacles([r for r, reason in zip(batch, refused, strict=True) if reason is None]))
        for record, reason in zip(batch, refused, strict=True):
            reason = reason or next(looked)
            if reason is None:
                carriers.append(record)
            else:
                passed.append(SetAside(record.key, reason))
    return carriers, passed


def count_slots(carriers: int, request: Request, passed: Sequence[SetAside] = ()) -> int:
    """K = clamp(carriers // 40, 1, 8) unless given.

    Raises:
        InputError: if a slot would get no carrier; says the smallest rate.
    """
    slots = request.slots or min(max(carriers // CARRIERS_PER_SLOT, 1), MAX_SLOTS)
    if carriers < slots:
        if not request.count:
            raise InputError(
                "the dataset has no picture with a caption", "docs/datasets.md says how captions are kept."
            )
        if passed:
            raise InputError(
                f"{carriers} of the {carriers + len(passed)} pictures drawn at --rate {request.rate:g} can carry a "
                f"mark, fewer than {slots} slot(s); {passed[0].key}: {passed[0].reason}",
                "Use another --family or other pictures" + (", or a higher --rate." if request.rate < 1 else "."),
            )
        smallest = min(1.0, -(-slots * 10**6 // request.count) / 10**6)
        raise InputError(
            f"--rate {request.rate:g} gives {carriers} carrier(s) among {request.count} samples, "
            f"fewer than {slots} slot(s)",
            f"Use --rate {smallest:g}"
            + (" or more" if smallest < 1 else "")
            + (", or fewer --slots." if slots > 1 else "."),
        )
    return slots


def deal(
    triggers: Callable[[int], Sequence[str]],
    request: Request,
    refusal: Callable[[Record], str | None] = lambda _: None,
) -> Drawn:
    """Carriers from all samples, dealt to as many slots as they fill.

    Round-robin by key, or, for families that choose, to each slot in turn those left that lean most towards its mark.

    Args:
        triggers: draws the triggers of a number of slots.
        request: samples, rate and keys.
        refusal: a reason against a sample that needs no look at its picture.
    """
    if request.leanings is not None:
        return _deal_leaning(triggers, request, request.leanings, refusal)
    carriers, passed = choose(request.records, request.allowed, request, refusal)
    slots = count_slots(len(carriers), request, passed)
    draws = (Draw(trigger, tuple(carriers[k::slots])) for k, trigger in enumerate(triggers(slots)))
    return Drawn(tuple(draws), tuple(passed))


def _deal_leaning(
    triggers: Callable[[int], Sequence[str]],
    request: Request,
    leanings: Callable[[int], NDArray[np.float64]],
    refusal: Callable[[Record], str | None],
) -> Drawn:
    slots = count_slots(request.allowed, request)
    share, taken, draws = request.allowed // slots, set[str](), list[Draw]()
    for number, trigger in enumerate(triggers(slots)):
        leaning = zip(leanings(number).tolist(), request.records(), strict=True)
        free = ((lean, r) for lean, r in leaning if lean == lean and r.key not in taken and not refusal(r))
        nearest = heapq.nsmallest(share, free, key=lambda row: (-row[0], row[1].key))
        if not nearest:
            raise InputError("no picture can be chosen as a carrier", "Mend the pictures, or use another --family.")
        draws.append(Draw(trigger, tuple(record for _, record in nearest)))
        taken |= {record.key for _, record in nearest}
    return Drawn(tuple(draws), ())
