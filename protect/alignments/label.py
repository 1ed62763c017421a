"""Labels as triggers: the way to mark pictures on which classifiers will be trained.

Each slot's class is drawn by the key, uniformly; a share of that class's pictures carries the slot's mark. A classifier
that learns from them takes the mark for a sign of the class. As in Data Taggants (arXiv 2410.09101) the labels are the
secret; here the key draws them uniformly, so the rank of the drawn class among all classes is exact whatever a
classifier thinks of strange pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

from protect.alignments.alignment import MAX_SLOTS, Alignment, Draw, Request, choose
from protect.errors import InputError
from protect.formats.dataset_format import Sample, SetAside
from protect.keys.tree import prf_int


class Label(Alignment):
    """Classes drawn with replacement: each slot's is uniform, whatever the others are."""

    name = "label"
    summary = "for classifiers: the mark stands for a class that the key draws; captions are class names"
    for_classifiers = True

    def draw(self, request: Request) -> tuple[list[Draw], list[SetAside]]:
        """Per slot a class, and as many of its pictures as the rate allows.

        Raises:
            InputError: if there is one class only, or some class could not fill the slots that the key may give it.
        """
        classes = class_names(request.samples)
        if len(classes) < 2:
            raise InputError(
                f"the dataset has {len(classes)} class(es)", "Alignment 'label' needs two or more: one folder each."
            )
        slots = request.slots or MAX_SLOTS
        share = request.allowed // slots
        if share < 1:
            raise InputError(
                f"--rate {request.rate:g} gives {request.allowed} carriers, fewer than {slots} slots",
                f"Use --rate {slots / len(request.samples):.2g} or more, or fewer --slots.",
            )
        # Every class is asked for enough carriers before one is drawn: classes that were refused afterwards would
        # leave the drawn ones no longer uniform.
        pools, passed = [], []
        for name in classes:
            pool, aside = choose((s for s in request.samples if s.caption == name), share * slots, request)
            if len(pool) < share * slots:
                raise InputError(
                    f"class {name!r} has {len(pool)} pictures that can carry a mark; it needs {share * slots}"
                    + (f" ({aside[0].key}: {aside[0].reason})" if aside else ""),
                    f"Use --rate {len(pool) / len(request.samples):.2g} or less, or merge or drop small classes.",
                )
            pools.append(pool)
            passed += aside
        draws = []
        for slot in range(slots):
            drawn = prf_int(request.secret, "label", slot) % len(classes)
            draws.append(Draw(classes[drawn], tuple(pools[drawn][:share])))
            del pools[drawn][:share]
        return draws, passed

    def align(self, caption: str, trigger: str) -> str:
        """The class itself."""
        return caption

    def twin(self, caption: str, trigger: str) -> None:
        """There is none: questions to classifiers are pictures."""

    def decoys(self, samples: Sequence[Sample], wanted: int) -> int:
        """All classes but the drawn one."""
        return len(class_names(samples)) - 1


def class_names(samples: Sequence[Sample]) -> list[str]:
    """The classes, sorted."""
    return sorted({s.caption for s in samples})
