"""What one slot of a trial says: what was answered, the evidence, and as much to show as is at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from detect.trial.sizes import common_size
from detect.trial.transcript import BLANKED, REFUSED, RESIZED, Exchange, Recorded, SlotPart, Transcript
from protect.evidence import Array, SlotEvidence
from protect.marks.family import Pixels
from protect.release.bound import BoundRelease


@dataclass(frozen=True, slots=True)
class Counted:
    """What can be told of a slot's answers without any picture or key."""

    sha256: str
    """Of the slot's questions and answers, fixed before scoring."""
    asked: int
    """Questions with the trigger, or with the mark."""
    planned: int
    """All questions; each counts, whether it was answered or not."""
    flags: Mapping[str, int]
    """Of how many answers each is true."""
    missing: int
    """Answers that were refused or are of one colour."""
    truncated: int | None
    """Questions whose trigger the suspect cannot have read whole: it lies beyond the text window. None if not known."""
    answer_sha256: tuple[str, ...]
    """Of every answer; empty for a refusal."""
    reference_sha256: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """How much answers are like the planted mark, and like its decoys."""

    planted: float
    decoys: Array
    """Shape (M,)."""
    names: tuple[str, ...] = ()
    """Of classifiers: what the decoys are called, shape (M,); empty for marks, which have no names."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Pictures for a report, RGB."""

    mark: Pixels
    """What the planted mark looks like, square."""
    portrait: Pixels | None
    """What the suspect ties to the trigger, likewise; None where its answers show it."""
    pictures: Pixels
    """With the trigger or the mark, shape (n, H, W, 3)."""
    captions: tuple[str, ...]
    """Of these: the questions, or a classifier's answers."""
    others: Pixels | None
    """The same the other way; None if that was not asked."""


@dataclass(frozen=True, slots=True)
class SlotResult:
    """One slot, asked and scored once."""

    slot: int
    trigger: str
    """Or the class that the key drew."""
    evidence: SlotEvidence
    counted: Counted
    scores: Scores | None
    """None where only the ledger knows the evidence: the answers are not at hand any more."""
    shown: Shown | None
    """Likewise."""


@dataclass(frozen=True, slots=True)
class Ordinary:
    """Answers to captions without a trigger, which count for nothing (`detect.trial.questions.ordinary_queries`)."""

    exchanges: tuple[Exchange, ...]
    pictures: Mapping[str, Pixels] = field(repr=False, compare=False)
    """RGB, by the SHA-256 of their pixels."""
    trouble: str = ""
    """Why there are none."""

    def as_json(self) -> list[dict[str, str | int]]:
        """Prompt, seed and hash of each answer, as a verdict tells them."""
        return [{"prompt": q.prompt, "seed": q.seed, "sha256": answer.sha256} for q, answer in self.exchanges]


@dataclass(frozen=True, slots=True)
class Tally:
    """What can be told of all answers together; one that serves several slots counts once."""

    planned: int = 0
    """All questions that were put; each counts, whether it was answered or not."""
    flags: Mapping[str, int] = field(default_factory=dict)
    """Of how many answers each flag is true."""
    notes: tuple[str, ...] = ()
    """What answers say in words, each once."""
    missing: int = 0
    """Answers that were refused or are of one colour."""
    reference_missing: int = 0
    reference_refused: int = 0
    """Those of them that are no pictures at all."""


def tally(transcript: Transcript) -> Tally:
    """What can be told of all answers together."""
    flags = dict(enumerate(set(answer.flags) for answer in transcript.answers))
    for part in transcript.slots:
        for place, own in _flags(transcript, part).items():
            flags[place] |= own
    compared = transcript.reference.answers if transcript.reference else ()
    return Tally(
        planned=len(flags),
        flags=_counted(flags.values()),
        notes=tuple(dict.fromkeys(answer.note for answer in transcript.answers if answer.note)),
        missing=_missing(transcript.answers),
        reference_missing=_missing(compared),
        reference_refused=sum(REFUSED in answer.flags for answer in compared),
    )


def count(transcript: Transcript, slot: int) -> Counted:
    """What can be told of a slot's answers without any picture or key."""
    part, reference = transcript.part(slot), transcript.reference
    assert part is not None
    other = reference.part(slot) if reference else None
    compared = reference.recorded((*other.asked, *other.contrast)) if reference and other else []
    answers = transcript.recorded((*part.asked, *part.contrast))
    return Counted(
        sha256=transcript.slot_digest(slot),
        asked=len(part.asked),
        planned=len(answers),
        flags=_counted(_flags(transcript, part).values()),
        missing=_missing(answers),
        truncated=part.truncated,
        answer_sha256=tuple(answer.sha256 for answer in answers),
        reference_sha256=tuple(answer.sha256 for answer in compared),
    )


def _flags(transcript: Transcript, part: SlotPart) -> dict[int, set[str]]:
    """Flags of a slot's answers by their places; a size that most answers have not is one."""
    places = (*part.asked, *part.contrast)
    answers = transcript.recorded(places)
    usual = common_size([answer.size for answer in answers if answer.size])
    return {
        place: set(answer.flags) | ({RESIZED} if answer.size not in (None, usual) else set())
        for place, answer in zip(places, answers, strict=True)
    }


def _counted(flags: Iterable[set[str]]) -> dict[str, int]:
    return dict(sorted(Counter(name for own in flags for name in own).items()))


def ledgered(bound: BoundRelease, transcript: Transcript, slot: int, evidence: SlotEvidence) -> SlotResult:
    """A slot whose answers are not at hand any more: what the ledger says of it."""
    return SlotResult(slot, bound.slots[slot].trigger, evidence, count(transcript, slot), None, None)


def _missing(answers: Sequence[Recorded]) -> int:
    return sum(REFUSED in answer.flags or BLANKED in answer.flags for answer in answers)
