"""One look at a suspect, and what the ledger remembers of it: one suspect's answers to one release's questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from protect.evidence import SlotEvidence, running_evidence


@dataclass(slots=True)
class ScoredSlot:
    """One slot of a look: its answers' hash, fixed first, and the evidence in them."""

    answers: str
    """SHA-256 of the slot's questions and answers (`Transcript.slot_digest`)."""
    p_value: float | None = None
    """None while they are fixed and not scored."""
    by_lambda: list[float] = field(default_factory=list)

    @property
    def evidence(self) -> SlotEvidence | None:
        """What was found; None before it was scored."""
        if self.p_value is None:
            return None
        return SlotEvidence(self.p_value, sum(self.by_lambda) / len(self.by_lambda), tuple(self.by_lambda))


@dataclass(slots=True)
class Look:
    """One suspect's answers to one release's questions under one plan."""

    key: int
    """What no other look has."""
    release: str
    subject: str
    """Of the suspect (`Known.subject`)."""
    name: str
    plan: str
    """Name of the plan (`QueryPlan.digest`)."""
    number: int
    """How often this plan's questions had been answered before."""
    asked_anew: int
    """How often the owner had them asked anew on purpose: such answers lie in a cache of their own."""
    first: str
    """When it was entered: UTC, ISO 8601."""
    further: int
    """i: the level is alpha / 2^i."""
    together: list[str]
    """Ids of the releases that one call entered first for this suspect."""
    share: int
    lost: bool = False
    """Whether answers that were fixed were gone before they were scored: another look takes its place."""
    transcript: str = ""
    """Digest of the transcript as far as it goes."""
    slots: list[ScoredSlot] = field(default_factory=list)
    files: str = ""
    """Hash of the weights that gave the answers: only these may have them repeated without being asked."""
    recipients: int = 0
    """How many recipients' marks were held against the answers; 0 for a release that has one copy for all."""
    among: int = 1
    """Recipients among whom it names somebody: what is required of one of them is so many times what E must reach."""
    issued: int = 0
    """How many recipients had a copy when it was entered."""

    def threshold(self, alpha: float) -> float:
        """What E must reach, given the release's level alpha."""
        return float(self.share / (alpha / 2**self.further))

    def finished(self, slots: int, alpha: float) -> bool:
        """Whether nothing is left to ask: all of the release's slots were scored, or the evidence suffices."""
        return not self.lost and (len(self.scored()) >= slots or self.e_value >= self.threshold(alpha))

    def scored(self) -> list[SlotEvidence]:
        """Evidence of all slots that were scored."""
        return [slot.evidence for slot in self.slots if slot.evidence is not None]

    @property
    def e_value(self) -> float:
        """The largest E so far; 1 before the first slot."""
        return float(running_evidence(found).max()) if (found := self.scored()) else 1.0


@dataclass(slots=True)
class Known:
    """A suspect, by all that it was ever recognised by."""

    subject: str
    files: list[str]
    """Hashes of its own weights."""
    probes: dict[str, str]
    """Hash of its answers to the public probe, by the digest of its identity."""


@dataclass(slots=True)
class ControlShown:
    """The largest evidence that one control showed."""

    release: str
    plan: str
    subject: str
    name: str
    e_value: float
    slots: int
    """How many slots it answered."""


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a look among all looks of its release and at its suspect."""

    look: Look
    new: bool
    """Whether this call entered it."""
    looks_here: tuple[Look, ...]
    """All looks at this suspect for this release, oldest first."""
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    control_e_value: float
    """The largest evidence any control ever showed under this release, by any plan; 0 if none was asked."""

    @property
    def plans_tried(self) -> int:
        """Looks so far for the same release and suspect."""
        return len(self.looks_here)

    @property
    def further_plans(self) -> int:
        """i: the level of this look is alpha / 2^i."""
        return self.look.further

    @property
    def share(self) -> int:
        """The release's part of the level is alpha over this."""
        return self.look.share
