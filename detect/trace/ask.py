"""The answers that recipients are judged by: a release's own questions, once for all recipients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query, Suspect
from detect.trial.answers import cached_outputs, pixel_hashes
from detect.trial.questions import QueryPlan, slot_queries
from protect.marks.family import Answers
from protect.progress import Progress
from protect.release.bound import BoundRelease, BoundSlot

Outputs = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SlotAnswers:
    """What was answered to one slot's questions."""

    slot: BoundSlot
    answers: Answers
    output_sha256: tuple[str, ...]
    """Of every output's pixels, fixed before scoring."""
    queries: tuple[Query, ...]
    blank: int
    """Answers of one colour, the reference's among them."""


def slot_answers(
    bound: BoundRelease,
    suspect: Suspect,
    plan: QueryPlan,
    cache: Path,
    progress: Progress,
    reference: Suspect | None = None,
) -> Iterator[SlotAnswers]:
    """All slots' answers, one slot at a time; from the cache where they are there already.

    Raises:
        SuspectError: if the suspect or the reference cannot be asked.
    """
    asking = [_Asking(model, plan, cache, progress) for model in (suspect, reference) if model is not None]
    for slot in bound.slots:
        queries = slot_queries(slot, plan.queries)
        models = asking if slot.family.uses_reference else asking[:1]
        asked = len(slot.questions.prompts[: plan.queries])
        found = [one.pictures(queries, f"slot {slot.number + 1} of {len(bound.slots)}") for one in models]
        compared = _in_pairs(found[1], asked) if len(found) > 1 else None
        answers = _in_pairs(found[0], asked, compared)
        blank = sum(int(np.ptp(picture) == 0) for pictures in found for picture in pictures)
        yield SlotAnswers(slot, answers, pixel_hashes(found[0]), tuple(queries), blank)


def _in_pairs(pictures: Outputs, asked: int, reference: Answers | None = None) -> Answers:
    return Answers(pictures[:asked], pictures[asked:] if len(pictures) > asked else None, reference)


class _Asking:
    """One model; what it was asked last is not read again, since one set of answers may serve several slots."""

    def __init__(self, model: Suspect, plan: QueryPlan, cache: Path, progress: Progress) -> None:
        self._model, self._plan, self._cache, self._progress = model, plan, cache, progress
        self._last: list[Query] = []
        self._answers: Outputs

    def pictures(self, queries: list[Query], stage: str) -> Outputs:
        """Its answers, first those to questions with the trigger."""
        if queries == self._last:
            return self._answers
        ready = 0

        def count(more: int) -> None:
            nonlocal ready
            ready += more
            self._progress(f"{self._model.name}: {stage}", ready, len(queries))

        self._answers = cached_outputs(self._model, queries, self._plan.sampler, self._cache, count)
        self._last = queries
        return self._answers
