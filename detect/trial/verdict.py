"""What detection answers: one verdict per release, with all that a reader needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detect.trial.questions import QueryPlan
from protect.evidence import Array, SlotEvidence
from protect.marks.family import Pixels
from protect.release.record import Release

Outcome = Literal["evidence", "no evidence", "inconclusive"]


@dataclass(frozen=True, slots=True)
class SlotResult:
    """One slot, asked and scored once."""

    slot: int
    trigger: str
    captions: tuple[str, ...]
    """The questions as they were put, shape (n,)."""
    mark: Pixels
    """What the planted mark looks like, RGB, square."""
    portrait: Pixels | None
    """What the suspect ties to the trigger, likewise; None where its answers show it."""
    planted_score: float
    decoy_scores: Array
    """Shape (M,)."""
    evidence: SlotEvidence
    output_sha256: tuple[str, ...]
    """Of every output's pixels, fixed before scoring."""
    outputs: NDArray[np.uint8]
    """Answers to the questions with the trigger, shape (n, H, W, 3)."""
    untriggered: NDArray[np.uint8] | None
    """Answers to the same questions the other way, same shape; None if they were not asked."""
    reference_sha256: tuple[str, ...]
    """The same of the reference's outputs; empty without one."""
    reference_blank: int
    """How many of these are of one colour."""
    blank: int
    """How many outputs are of one colour, as a safety checker makes them (black)."""
    truncated: int | None
    """Questions whose trigger the suspect cannot have read whole: it lies beyond the text window. None if not known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer about one release and one suspect."""

    outcome: Outcome
    reason: str
    """Why it is inconclusive; empty otherwise."""
    release: Release
    suspect: str
    identity: dict[str, str]
    alpha: float
    """Level of this plan, after halving for further plans."""
    threshold: float
    """What the e-value had to reach: number of releases under test over alpha."""
    e_value: float
    p_value: float
    running: tuple[float, ...]
    """E after each slot."""
    queries: int
    slots: tuple[SlotResult, ...]
    control_e_value: float | None
    reference: dict[str, str] | None
    """Name and identity of the model whose answers were taken off; None if there was none."""
    flags: tuple[str, ...]
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    plans_tried: int
    """Different plans ever tried with this release on this suspect, this one included."""
    commitments: int
    """Commitments that the keyring holds: each was a try to get a lucky key."""
    plan: QueryPlan
    versions: dict[str, str]

    @property
    def truncated(self) -> int | None:
        """Questions whose trigger the suspect cannot have read whole; None if that is not known."""
        counts = [slot.truncated for slot in self.slots if slot.truncated is not None]
        return sum(counts) if len(counts) == len(self.slots) else None

    @property
    def asked_with_trigger(self) -> int:
        """Questions with a trigger."""
        return sum(len(slot.outputs) for slot in self.slots)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What may have kept a mark from showing, in sentences for people."""
        if not self.truncated:
            return ()
        return (
            f"In {self.truncated} of {self.asked_with_trigger} questions the trigger, or a part of it, lies beyond the "
            "suspect's text window: the suspect never read it. These captions are too long for this suspect.",
        )

    def as_json(self) -> dict[str, Any]:
        """Everything but pixels, ready for JSON."""
        return {
            "verdict": self.outcome,
            "reason": self.reason,
            "alpha": self.alpha,
            "threshold": self.threshold,
            "e_value": self.e_value,
            "p_value": self.p_value,
            "queries": self.queries,
            "slots": [_slot_json(slot, e) for slot, e in zip(self.slots, self.running, strict=True)],
            "control_e_value": self.control_e_value,
            "reference": self.reference,
            "truncated": self.truncated,
            "questions_with_trigger": self.asked_with_trigger,
            "warnings": list(self.warnings),
            "release": {
                "id": self.release.id,
                "name": self.release.name,
                "commitment": self.release.commitment,
                "created": self.release.created,
                "coin": self.release.public()["coin"],
                "slots": self.release.plan.slots,
            },
            "suspect": {"name": self.suspect, **self.identity},
            "suspects_tested_with_this_release": self.suspects_tested,
            "plans_tried_on_this_suspect": self.plans_tried,
            "commitments_held": self.commitments,
            "plan": self.plan.as_dict(),
            "versions": self.versions,
            "flags": list(self.flags),
        }


def _slot_json(slot: SlotResult, running: float) -> dict[str, Any]:
    return {
        "slot": slot.slot,
        "p_value": slot.evidence.p_value,
        "e_value": slot.evidence.e_value,
        "running_e_value": running,
        "planted_score": slot.planted_score,
        "decoys": len(slot.decoy_scores),
        "best_decoy_score": float(slot.decoy_scores.max()),
        "outputs": len(slot.outputs),
        "blank_outputs": slot.blank,
        "truncated": slot.truncated,
        "output_sha256": list(slot.output_sha256),
        "reference_sha256": list(slot.reference_sha256),
    }
