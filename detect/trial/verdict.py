"""What detection answers: one verdict per release."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from protect.evidence import Array, SlotEvidence
from protect.release.record import Release

Outcome = Literal["evidence", "no evidence", "inconclusive"]


@dataclass(frozen=True, slots=True)
class SlotResult:
    """One slot, asked and scored once."""

    slot: int
    trigger: str
    planted_score: float
    decoy_scores: Array
    """Shape (M,)."""
    evidence: SlotEvidence
    output_sha256: tuple[str, ...]
    """Of every output's pixels, fixed before scoring."""
    outputs: NDArray[np.uint8]
    """Shape (n, H, W, 3)."""
    twins: NDArray[np.uint8] | None
    blank: int
    """How many outputs are of one colour, as a safety checker makes them (black)."""


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
    flags: tuple[str, ...]
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    plans_tried: int
    """Different plans ever tried with this release on this suspect, this one included."""
    plan: dict[str, Any]
    versions: dict[str, str]

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
            "release": {
                "id": self.release.id,
                "name": self.release.name,
                "commitment": self.release.commitment,
                "created": self.release.created,
                "slots": self.release.plan.slots,
            },
            "suspect": {"name": self.suspect, **self.identity},
            "suspects_tested_with_this_release": self.suspects_tested,
            "plans_tried_on_this_suspect": self.plans_tried,
            "plan": self.plan,
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
        "output_sha256": list(slot.output_sha256),
    }
