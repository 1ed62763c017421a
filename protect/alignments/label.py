"""Labels as triggers: the way to mark pictures on which classifiers will be trained.

Each slot's class is drawn by the key, uniformly; a share of that class's pictures carries the slot's mark. A classifier
that learns from them takes the mark for a sign of the class. As in Data Taggants (arXiv 2410.09101) the labels are the
secret; here the key draws them uniformly, so the rank of the drawn class among all classes is exact whatever a
classifier thinks of strange pictures.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial

from protect.alignments.alignment import Alignment, Draw, Drawn, Request
from protect.alignments.dealing import MAX_SLOTS, choose
from protect.errors import InputError
from protect.formats.record import Record, SetAside, normalised

_SPARE, _MARGIN = 1.25, 8
"""Pictures of a class that are held ready for each one needed, and besides."""


class Label(Alignment):
    """Classes drawn with replacement: each slot's is uniform, whatever the others are."""

    name = "label"
    summary = "for classifiers: the mark stands for a class that the key draws; captions are class names"
    captions_stay = True
    for_classifiers = True

    def draw(self, request: Request) -> Drawn:
        """Per slot a class, and as many of its pictures as the rate allows; its decoys are all other classes.

        Raises:
            InputError: if there is one class only, or some class could not fill the slots that the key may give it.
        """
        slots = request.slots or MAX_SLOTS
        share = request.allowed // slots
        classes = _classes(request, share * slots)
        if len(classes) < 2:
            raise InputError(
                f"the dataset has {len(classes)} class(es)", "Alignment 'label' needs two or more: one folder each."
            )
        if share < 1:
            raise InputError(
                f"--rate {request.rate:g} gives {request.allowed} carriers, fewer than {slots} slots",
                f"Use --rate {slots / request.count:.2g} or more, or fewer --slots.",
            )
        pools, passed = _pools(classes, share * slots, request)
        draws = []
        for slot in range(slots):
            drawn = classes[request.slot(slot).integer("label") % len(classes)]
            draws.append(Draw(drawn, tuple(pools[drawn][:share])))
            del pools[drawn][:share]
        return Drawn(tuple(draws), tuple(passed), decoys=len(classes) - 1)

    def align(self, caption: str, trigger: str) -> str:
        """The class itself."""
        return caption

    def without_trigger(self, caption: str, trigger: str) -> None:
        """There is none: questions to classifiers are pictures."""


def class_names(records: Iterable[Record]) -> list[str]:
    """The classes, sorted."""
    return sorted({record.caption for record in records})


def _classes(request: Request, needed: int) -> list[str]:
    """The classes, sorted; each has enough pictures, as far as their number tells.

    Raises:
        InputError: if one has too few, or there are so many that one must have.
    """
    sizes: Counter[str] = Counter()
    for record in request.records():
        sizes[record.caption] += 1
        if len(sizes) > 1 and len(sizes) * needed > request.count:
            raise InputError(
                f"{len(sizes)} classes or more share {request.count} pictures; each needs {needed} that carry a mark",
                f"Use --rate {1 / len(sizes):.2g} or less, or merge or drop small classes.",
            )
    for name in sorted(sizes):
        if len(sizes) > 1 and sizes[name] < needed:
            raise _too_few(name, sizes[name], needed, request, [])
    return sorted(sizes)


def _pools(classes: list[str], needed: int, request: Request) -> tuple[dict[str, list[Record]], list[SetAside]]:
    """For each class the usable pictures with the smallest ranks.

    Every class is asked for enough of them before one is drawn: classes that were refused afterwards would leave the
    drawn ones no longer uniform.
    """
    held = int(_SPARE * needed) + _MARGIN
    nearest = _nearest(request, held)
    pools: dict[str, list[Record]] = {}
    passed: list[SetAside] = []
    for name in classes:
        pool, aside = choose(nearest[name].__iter__, needed, request)
        if len(pool) < needed and len(nearest[name]) == held:  # many are no use: look at all of the class
            pool, aside = choose(partial(_of_class, request, name), needed, request)
        if len(pool) < needed:
            raise _too_few(name, len(pool), needed, request, aside)
        pools[name] = pool
        passed += aside
    return pools, passed


def _nearest(request: Request, held: int) -> dict[str, list[Record]]:
    """Of each class the pictures with the smallest ranks, found in one pass that holds no others."""
    heaps: dict[str, list[tuple[int, str, Record]]] = {}
    for record in request.records():
        heap = heaps.setdefault(record.caption, [])
        entry = (-request.keys.carrier_rank(normalised(record.key)), record.key, record)
        if len(heap) < held:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return {name: [record for *_, record in heap] for name, heap in heaps.items()}


def _of_class(request: Request, name: str) -> Iterator[Record]:
    return (record for record in request.records() if record.caption == name)


def _too_few(name: str, usable: int, needed: int, request: Request, aside: list[SetAside]) -> InputError:
    return InputError(
        f"class {name!r} has {usable} pictures that can carry a mark; it needs {needed}"
        + (f" ({aside[0].key}: {aside[0].reason})" if aside else ""),
        f"Use --rate {usable / request.count:.2g} or less, or merge or drop small classes.",
    )
