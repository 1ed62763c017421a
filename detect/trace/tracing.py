"""What tracing answers: whose copies a model learned from, with all that a reader needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from detect.trace.evidence import family_wise_p, shown
from protect.evidence import Array
from protect.release.record import Release

Outcome = Literal["named", "at least two sources", "some copy", "nobody", "inconclusive"]


@dataclass(frozen=True, slots=True)
class Source:
    """A recipient whose copy the model learned from."""

    serial: int
    e_value: float
    p_value: float
    """Family-wise: min(1, N / E)."""


@dataclass(frozen=True, slots=True)
class Tracing:
    """The answer about one release, one suspect, and all recipients or one of them."""

    outcome: Outcome
    reason: str
    """Why it is inconclusive; empty otherwise."""
    release: Release
    suspect: str
    identity: Mapping[str, str]
    serials: range
    """The recipients under test."""
    among: int
    """Recipients among whom one is named: those under test, or all who ever had a copy (see `trace`)."""
    alpha: float
    """Level of this plan, after halving for further plans."""
    threshold: float
    """What a recipient's E has to reach: `among` over alpha."""
    sources: tuple[Source, ...]
    """Those that reached it, by serial number."""
    some: float
    """Mean of all recipients' E: evidence that some copy was used (see `some_threshold`)."""
    silent: tuple[int, ...]
    """Slots whose answers say nothing of anybody."""
    queries: int
    decoys: int
    """Marks that nobody's copy carries, of the slot that has fewest."""
    control_e_value: float | None
    """The largest evidence of some copy that a control ever showed under this release; None if none was asked."""
    reference: Mapping[str, str] | None
    """Name and identity of the model whose answers were taken off."""
    flags: tuple[str, ...]
    suspects_tested: int
    plans_tried: int
    commitments: int
    commitments_before: int
    """Commitments that the keyring made before this one."""
    plan: Mapping[str, Any]
    transcript: str
    """Digest of all questions and answers; empty if there are none."""
    answers_sha256: tuple[str, ...]
    """Of each slot's questions and answers, fixed before scoring."""
    coin: str
    """What is to be said of the public coin, in a sentence."""
    versions: Mapping[str, str]
    log_e_values: Array = field(repr=False, compare=False)
    """Natural logarithm of each recipient's largest running E, in the order of `serials`, shape (N,)."""

    @property
    def some_threshold(self) -> float:
        """What the evidence that some copy was used has to reach; of one recipient alone it is evidence of that one."""
        return self.threshold / self.among if len(self.serials) > 1 else self.threshold

    def as_json(self, names: Mapping[int, str]) -> dict[str, Any]:
        """Everything but pixels and the evidence against those who are not named, ready for JSON.

        Args:
            names: what recipients are called, by serial number, as far as it is known.
        """
        return {
            "verdict": self.outcome,
            "reason": self.reason,
            "recipients_tested": len(self.serials),
            "recipients_counted": self.among,
            "first_recipient": self.serials.start,
            "sources": [asdict(source) | {"name": names.get(source.serial)} for source in self.sources],
            "alpha": self.alpha,
            "threshold": self.threshold,
            "evidence_that_some_copy_was_used": self.some,
            "silent_slots": list(self.silent),
            "queries": self.queries,
            "decoys": self.decoys,
            "control_e_value": self.control_e_value,
            "reference": self.reference,
            "release": {
                "id": self.release.id,
                "name": self.release.name,
                "commitment": self.release.commitment,
                "created": self.release.created,
                "coin": self.release.public()["coin"],
                "coin_in_words": self.coin,
                "slots": self.release.plan.slots,
            },
            "suspect": {"name": self.suspect, **self.identity},
            "suspects_tested_with_this_release": self.suspects_tested,
            "plans_tried_on_this_suspect": self.plans_tried,
            "commitments_held": self.commitments,
            "commitments_before": self.commitments_before,
            "plan": dict(self.plan),
            "transcript": self.transcript,
            "versions": self.versions,
            "flags": list(self.flags),
            "answers_sha256": list(self.answers_sha256),
        }


def source_of(serial: int, log_e: float, recipients: int) -> Source:
    """A recipient with its evidence."""
    return Source(serial, shown(log_e), family_wise_p(log_e, recipients))
