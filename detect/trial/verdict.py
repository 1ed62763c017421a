"""What detection answers: one verdict per release, with all that a reader needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from detect.trial.result import Counted, Ordinary, Scores, Shown, SlotResult, Tally
from detect.trial.transcript import Kind, Transcript
from detect.trial.warnings import in_sentences
from protect.formats.record import SetAside
from protect.release.record import Release

__all__ = [
    "SCHEMA_VERSION",
    "Counted",
    "LookLine",
    "Ordinary",
    "Outcome",
    "Scores",
    "Shown",
    "SlotResult",
    "Tally",
    "Verdict",
]

SCHEMA_VERSION = 1
"""Of `Verdict.as_json`; raised whenever a field changes its meaning or goes (docs/verdict-schema.md)."""
Outcome = Literal["evidence", "no evidence", "inconclusive"]
_MOST_NOTES = 20
"""Notes of answers that a verdict tells; the transcript has all."""


@dataclass(frozen=True, slots=True)
class LookLine:
    """One look at this suspect for this release: each further one was judged at half the level."""

    entered: str
    """UTC, ISO 8601."""
    further: int
    """i: the level was alpha / 2^i."""
    alpha: float
    slots: int
    """Scored so far."""
    e_value: float
    this: bool
    """Whether it is the one that the verdict is about."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer about one release and one suspect: a text-to-image model or a classifier."""

    outcome: Outcome
    reason: str
    """Why it is inconclusive, or less than it seems; empty otherwise."""
    kind: Kind
    """Of the answers: pictures, or labels of a classifier."""
    release: Release
    suspect: str
    identity: Mapping[str, str]
    alpha: float
    """Level of this look, after halving for further ones."""
    threshold: float
    """What the e-value had to reach: the release's share of the level, as a number of releases, over alpha."""
    e_value: float
    p_value: float
    running: tuple[float, ...]
    """E after each slot."""
    queries: int
    """Different questions put; those that serve several slots count once."""
    slots: tuple[SlotResult, ...]
    tally: Tally
    """Of all answers that slots were scored by."""
    control_e_value: float | None
    reference: Mapping[str, str] | None
    """Name and identity of the model whose answers were taken off; None if there was none."""
    flags: tuple[str, ...]
    """What a reader must know, of the release, the test and the answers."""
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    looks: tuple[LookLine, ...]
    """All looks at this suspect for this release, this one included, oldest first."""
    commitments: int
    """Commitments that the keyring holds: each was a try to get a lucky key."""
    commitments_before: int
    """Those of them that were made before this release's."""
    coin: str
    """What is known of the public coin, in a sentence for people."""
    plan: Mapping[str, Any]
    """Questions per slot and sampler."""
    transcript: str
    """Digest of questions and answers, 64 hex digits; empty if nothing was asked."""
    versions: Mapping[str, str]
    held: Transcript | None = field(default=None, repr=False, compare=False)
    """The transcript itself, its pictures at hand as far as they still are; None if nothing was asked."""
    set_aside: tuple[SetAside, ...] = ()
    """Samples that were to be asked about and cannot be."""
    ordinary: Ordinary | None = None
    """Answers to captions without a trigger, beside those with one; None if they were not asked for."""

    @property
    def plans_tried(self) -> int:
        """Looks so far at this suspect for this release, this one included."""
        return len(self.looks)

    @property
    def truncated(self) -> int | None:
        """Questions whose trigger the suspect cannot have read whole; None if that is not known."""
        counts = [slot.counted.truncated for slot in self.slots if slot.counted.truncated is not None]
        return sum(counts) if len(counts) == len(self.slots) else None

    @property
    def asked_with_trigger(self) -> int:
        """Questions with a trigger, or with a mark in the picture shown."""
        return sum(slot.counted.asked for slot in self.slots)

    @property
    def answer_flags(self) -> dict[str, int]:
        """Of how many answers each flag is true."""
        return dict(self.tally.flags)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader must know of the answers, in sentences for people."""
        gone = sum(slot.scores is None for slot in self.slots)
        return in_sentences(self.tally.flags, self.tally.planned, self.truncated, self.asked_with_trigger, gone)

    def as_json(self) -> dict[str, Any]:
        """Everything but pixels, ready for JSON; its schema is `verdict.schema.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "kind": self.kind,
            "verdict": self.outcome,
            "reason": self.reason,
            "alpha": self.alpha,
            "threshold": self.threshold,
            "e_value": self.e_value,
            "p_value": self.p_value,
            "queries": self.queries,
            "slots": [_slot_json(slot, e, self.kind) for slot, e in zip(self.slots, self.running, strict=True)],
            "control_e_value": self.control_e_value,
            "reference": dict(self.reference) if self.reference else None,
            "truncated": self.truncated,
            "questions_with_trigger": self.asked_with_trigger,
            "answers_planned": self.tally.planned,
            "answer_flags": self.answer_flags,
            "answer_notes": list(self.tally.notes[:_MOST_NOTES]),
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
            "looks": [asdict(look) for look in self.looks],
            "commitments_held": self.commitments,
            "commitments_before": self.commitments_before,
            "coin": self.coin,
            "plan": dict(self.plan),
            "transcript_sha256": self.transcript,
            "ordinary_answers": self.ordinary.as_json() if self.ordinary else [],
            "set_aside": [asdict(one) for one in self.set_aside],
            "versions": dict(self.versions),
            "flags": list(self.flags),
        }


def _slot_json(slot: SlotResult, running: float, kind: Kind) -> dict[str, Any]:
    scores, counted = slot.scores, slot.counted
    labels = kind == "labels"
    return {
        "slot": slot.slot,
        "p_value": slot.evidence.p_value,
        "e_value": slot.evidence.e_value,
        "running_e_value": running,
        "planted_score": scores.planted if scores else None,
        "decoys": len(scores.decoys) if scores else None,
        "best_decoy_score": float(scores.decoys.max()) if scores else None,
        "outputs": counted.asked,
        "answers": counted.planned,
        "missing_answers": counted.missing,
        "answer_flags": dict(counted.flags),
        "truncated": counted.truncated,
        "answers_sha256": counted.sha256,
        "output_sha256": list(counted.answer_sha256),
        "reference_sha256": list(counted.reference_sha256),
        "drawn": slot.trigger if labels else None,
        "pull": _pull(slot.trigger, scores) if labels and scores else None,
    }


def _pull(drawn: str, scores: Scores) -> dict[str, float]:
    """How much the mark draws answers to each class."""
    others = zip(scores.names, scores.decoys.tolist(), strict=True)
    return dict(sorted([(drawn, scores.planted), *others]))
