"""What one slot of a trial says: what was answered, the evidence, and as much to show as is at hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from detect.trial.sizes import common_size
from detect.trial.transcript import BLANKED, REFUSED, RESIZED, Recorded, Transcript
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
    notes: tuple[str, ...]
    """What answers say in words, each once."""
    missing: int
    """Answers that were refused or are of one colour."""
    reference_missing: int
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


def count(transcript: Transcript, slot: int) -> Counted:
    """What can be told of a slot's answers without any picture or key."""
    part = transcript.part(slot)
    assert part is not None
    answers = transcript.recorded((*part.asked, *part.contrast))
    compared = _part_answers(transcript.reference, slot)
    flags = answer_flags(answers)
    return Counted(
        sha256=transcript.slot_digest(slot),
        asked=len(part.asked),
        planned=len(answers),
        flags=flags,
        notes=tuple(dict.fromkeys(answer.note for answer in answers if answer.note)),
        missing=_missing(answers),
        reference_missing=_missing(compared),
        truncated=part.truncated,
        answer_sha256=tuple(answer.sha256 for answer in answers),
        reference_sha256=tuple(answer.sha256 for answer in compared),
    )


def answer_flags(answers: Sequence[Recorded]) -> dict[str, int]:
    """Of how many answers each flag is true; a size that most answers have not is one."""
    usual = common_size([answer.size for answer in answers if answer.size])
    found: Counter[str] = Counter()
    for answer in answers:
        found.update(set(answer.flags) | ({RESIZED} if answer.size not in (None, usual) else set()))
    return dict(sorted(found.items()))


def ledgered(bound: BoundRelease, transcript: Transcript, slot: int, evidence: SlotEvidence) -> SlotResult:
    """A slot whose answers are not at hand any more: what the ledger says of it."""
    return SlotResult(slot, bound.slots[slot].trigger, evidence, count(transcript, slot), None, None)


def _part_answers(transcript: Transcript | None, slot: int) -> list[Recorded]:
    part = transcript.part(slot) if transcript else None
    return transcript.recorded((*part.asked, *part.contrast)) if transcript and part else []


def _missing(answers: Sequence[Recorded]) -> int:
    return sum(REFUSED in answer.flags or BLANKED in answer.flags for answer in answers)
