"""Asking one release's questions and scoring the answers: each slot once, planted mark and decoys in one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images.suspect import Suspect
from detect.trial.answers import cache_paths, cached_outputs, pixel_hashes
from detect.trial.questions import QueryPlan, count_truncated, slot_queries
from detect.trial.verdict import SlotResult
from protect.errors import TracemarkError
from protect.evidence import running_evidence, slot_evidence
from protect.progress import Progress
from protect.release.bound import BoundRelease

_MARK_SIDE = 96
"""Pixels of the planted mark's picture in a verdict."""


@dataclass(slots=True)
class AskedSlots:
    """Slots asked so far, and why asking stopped."""

    slots: list[SlotResult] = field(default_factory=list)
    asked: int = 0
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

    def ask(self, suspect: Suspect, slots: int) -> AskedSlots:
        """Ask up to `slots` slots in order until the evidence suffices, or the suspect or a family fails."""
        answers = AskedSlots()
        try:
            for slot in range(slots):
                result = self._ask_slot(suspect, slot)
                answers.asked += len(result.output_sha256)
                answers.slots.append(result)
                if answers.running[-1] >= self.threshold:
                    break
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            answers.trouble = error.what
        return answers

    def any_picture(self, suspect: Suspect) -> bool:
        """Whether the suspect ever answered a question of this plan."""
        slots = range(len(self.bound.slots))
        queries = [query for slot in slots for query in slot_queries(self.bound, slot, self.plan.queries)]
        return any(path.exists() for path in cache_paths(suspect, queries, self.plan.sampler, self.cache))

    def _pictures(self, suspect: Suspect, slot: int) -> NDArray[np.uint8]:
        """A slot's answers, first those to questions with the trigger; from the cache where they are there already."""
        queries = slot_queries(self.bound, slot, self.plan.queries)
        stage = f"{suspect.name}: slot {slot + 1} of {len(self.bound.slots)}"
        ready = 0

        def count(more: int) -> None:
            nonlocal ready
            ready += more
            self.progress(stage, ready, len(queries))

        return cached_outputs(suspect, queries, self.plan.sampler, self.cache, count)

    def _ask_slot(self, suspect: Suspect, number: int) -> SlotResult:
        slot, count = self.bound.slots[number], self.plan.queries
        pictures = self._pictures(suspect, number)
        hashes = pixel_hashes(pictures)
        outputs, untriggered = pictures[:count], pictures[count:] if len(pictures) > count else None
        planted = np.array([slot.planted], dtype=np.uint64)
        scores = slot.family.score(outputs, untriggered, np.concatenate([planted, slot.decoys]))
        return SlotResult(
            slot=number,
            trigger=slot.trigger,
            captions=slot.questions.prompts[:count],
            mark=slot.family.preview(slot.planted, _MARK_SIDE),
            planted_score=float(scores[0]),
            decoy_scores=scores[1:],
            evidence=slot_evidence(float(scores[0]), scores[1:]),
            output_sha256=hashes,
            outputs=outputs,
            untriggered=untriggered,
            blank=int(np.count_nonzero(np.ptp(pictures.reshape(len(pictures), -1), axis=1) == 0)),
            truncated=count_truncated(self.bound, number, count, suspect),
        )
