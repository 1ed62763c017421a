"""Asking one release's questions and scoring the answers: each slot once, planted mark and decoys in one call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Query, Suspect
from detect.trial.answers import cache_paths, cached_outputs, pixel_hashes
from detect.trial.questions import QueryPlan, count_truncated, slot_queries
from detect.trial.verdict import SlotResult
from protect.errors import TracemarkError
from protect.evidence import running_evidence, slot_evidence
from protect.marks.family import Answers
from protect.progress import Progress
from protect.release.bound import BoundRelease, BoundSlot

Outputs = NDArray[np.uint8]
_MARK_SIDE = 96
"""Pixels of the planted mark's picture in a verdict."""


@dataclass(slots=True)
class AskedSlots:
    """Slots asked so far, and why asking stopped."""

    slots: list[SlotResult] = field(default_factory=list)
    queries: set[Query] = field(default_factory=set)
    """Put to the suspect, to a control and to the reference; questions that serve several slots count once."""
    trouble: str = ""

    @property
    def running(self) -> NDArray[np.float64]:
        """E after each slot."""
        return running_evidence([slot.evidence for slot in self.slots])

    @property
    def peak(self) -> float:
        """The largest E so far; 1 before the first slot."""
        return float(self.running.max()) if self.slots else 1.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One release under test: what is asked, when asking stops, and where answers are kept."""

    bound: BoundRelease
    plan: QueryPlan
    threshold: float
    cache: Path
    progress: Progress
    reference: Suspect | None = None
    """A model whose answers to the same questions are taken off, by families that can."""
    _last: dict[int, tuple[list[Query], Outputs]] = field(default_factory=dict, repr=False)
    """Of each model the questions asked last, and its answers: one set may serve several slots."""

    def ask(self, suspect: Suspect, slots: int) -> AskedSlots:
        """Ask up to `slots` slots in order until the evidence suffices, or the suspect or a family fails."""
        answers = AskedSlots()
        try:
            for slot in self.bound.slots[:slots]:
                result = self._ask_slot(suspect, slot)
                answers.queries.update(slot_queries(slot, self.plan.queries))
                answers.slots.append(result)
                if answers.running[-1] >= self.threshold:
                    break
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            answers.trouble = error.what
        return answers

    def any_picture(self, suspect: Suspect) -> bool:
        """Whether the suspect ever answered a question of this plan."""
        queries = [query for slot in self.bound.slots for query in slot_queries(slot, self.plan.queries)]
        return any(path.exists() for path in cache_paths(suspect, queries, self.plan.sampler, self.cache))

    def _pictures(self, suspect: Suspect, slot: BoundSlot) -> Outputs:
        """A slot's answers, first those to questions with the trigger; from the cache where they are there already."""
        queries = slot_queries(slot, self.plan.queries)
        last, answers = self._last.get(id(suspect), ([], None))
        if answers is not None and last == queries:
            return answers
        stage = f"{suspect.name}: slot {slot.number + 1} of {len(self.bound.slots)}"
        ready = 0

        def count(more: int) -> None:
            nonlocal ready
            ready += more
            self.progress(stage, ready, len(queries))

        answers = cached_outputs(suspect, queries, self.plan.sampler, self.cache, count)
        self._last[id(suspect)] = queries, answers
        return answers

    def _ask_slot(self, suspect: Suspect, slot: BoundSlot) -> SlotResult:
        asked = len(slot.questions.prompts[: self.plan.queries])
        pictures = self._pictures(suspect, slot)
        hashes = pixel_hashes(pictures)
        answers = _in_pairs(pictures, asked)
        compared = pictures[:0]
        if self.reference is not None and slot.family.uses_reference:
            compared = self._pictures(self.reference, slot)
            answers = replace(answers, reference=_in_pairs(compared, asked))
        planted = np.array([slot.planted], dtype=np.uint64)
        scores = slot.family.score(answers, np.concatenate([planted, slot.decoys]))
        return SlotResult(
            slot=slot.number,
            trigger=slot.trigger,
            captions=slot.questions.prompts[:asked],
            mark=slot.family.preview(slot.planted, _MARK_SIDE),
            portrait=slot.family.portrait(answers, _MARK_SIDE),
            planted_score=float(scores[0]),
            decoy_scores=scores[1:],
            evidence=slot_evidence(float(scores[0]), scores[1:]),
            output_sha256=hashes,
            outputs=answers.asked,
            untriggered=answers.contrast,
            reference_sha256=pixel_hashes(compared),
            reference_blank=_count_blank(compared),
            blank=_count_blank(pictures),
            truncated=count_truncated(slot, self.plan.queries, suspect),
        )


def _count_blank(pictures: Outputs) -> int:
    return sum(int(np.ptp(picture) == 0) for picture in pictures)


def _in_pairs(pictures: Outputs, asked: int) -> Answers:
    return Answers(pictures[:asked], pictures[asked:] if len(pictures) > asked else None)
