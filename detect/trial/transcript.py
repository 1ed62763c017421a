"""What a suspect was asked and what it answered, fixed before any key is used on it. Needs no torch.

A slot's answers are fixed (hashed, and entered in the ledger) before the slot's key scores them; then the next slot is
asked. Scoring is a function of a release and a transcript alone (`detect.trial.score`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from detect.suspects.images.suspect import Answer
from detect.trial.answers import pixel_hash
from protect.errors import InputError
from protect.files import canonical_json
from protect.marks.family import Pixels

FORMAT = 1
Kind = Literal["pictures", "labels"]
REFUSED, BLANKED, RESIZED = "refused", "safety-blanked", "size-changed"
"""Flags of answers that the trial itself sets: no picture, a picture of one colour, and another size than most."""


@dataclass(frozen=True, slots=True)
class Question:
    """One planned question: a prompt with a seed, or a picture that is shown."""

    prompt: str = ""
    seed: int = 0
    picture: str = ""
    """SHA-256 of the pixels of a picture that a classifier is shown; empty for a prompt."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer, or that there was none."""

    sha256: str
    """Of a picture's pixels, or of label and scores; empty for a refusal."""
    size: tuple[int, int] | None = None
    """Height and width of a picture."""
    label: int | None = None
    """A classifier's answer: place among the classes, -1 for one that was not asked about."""
    scores: tuple[float, ...] = ()
    """One a class, larger is likelier; empty if the classifier gave none."""
    flags: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class SlotPart:
    """Which answers belong to a slot: places in `Transcript.questions`."""

    slot: int
    asked: tuple[int, ...]
    """With the trigger, or with the mark in the picture that is shown."""
    contrast: tuple[int, ...]
    """The same the other way; empty if that was not asked."""
    truncated: int | None = None
    """Questions whose trigger the suspect cannot have read whole; None if not known."""


Exchange = tuple[Question, Recorded]


@dataclass(frozen=True)
class Transcript:
    """All questions put to one suspect for one release, and every answer or refusal."""

    release: str
    """Its id."""
    kind: Kind
    suspect: str
    """Its name."""
    identity: Mapping[str, str]
    """Everything its answers depend on: hashes, scheduler, precision, versions."""
    plan: Mapping[str, Any]
    """Questions per slot and sampler, ready for JSON."""
    classes: tuple[str, ...] = ()
    """The owner's classes, which labels count; empty for pictures."""
    questions: tuple[Question, ...] = ()
    answers: tuple[Recorded, ...] = ()
    """Of the same length, in the same order."""
    slots: tuple[SlotPart, ...] = ()
    """In the order in which they were asked."""
    reference: Transcript | None = None
    """What a reference model answered to the same questions; None without one."""
    pictures: Mapping[str, Pixels] = field(default_factory=dict, repr=False, compare=False)
    """RGB pictures by the SHA-256 of their pixels, as far as they are at hand."""

    @cached_property
    def _places(self) -> dict[Exchange, int]:
        return {pair: place for place, pair in enumerate(zip(self.questions, self.answers, strict=True))}

    @cached_property
    def answered(self) -> dict[Question, Recorded]:
        """The answer to each question; the first one where a question was put twice."""
        pairs = zip(self.questions, self.answers, strict=True)
        return dict(reversed(list(pairs)))

    def part(self, slot: int) -> SlotPart | None:
        """A slot's part; None if it was not asked."""
        return next((part for part in self.slots if part.slot == slot), None)

    def recorded(self, places: Sequence[int]) -> list[Recorded]:
        """Answers by their places."""
        return [self.answers[place] for place in places]

    def with_slot(
        self,
        slot: int,
        asked: Sequence[Exchange],
        contrast: Sequence[Exchange],
        pictures: Mapping[str, Pixels],
        truncated: int | None = None,
    ) -> Transcript:
        """The transcript with one more slot.

        Args:
            slot: its number; it must not be there yet.
            asked: questions with the trigger and their answers.
            contrast: the same the other way.
            pictures: those that answers or questions name.
            truncated: see `SlotPart`.
        """
        if self.part(slot) is not None:
            raise ValueError(f"slot {slot} is in the transcript already")
        known, more = dict(self._places), list[Exchange]()
        places = [_place(pair, known, more) for pair in (*asked, *contrast)]
        part = SlotPart(slot, tuple(places[: len(asked)]), tuple(places[len(asked) :]), truncated)
        return replace(
            self,
            questions=(*self.questions, *(question for question, _ in more)),
            answers=(*self.answers, *(answer for _, answer in more)),
            slots=(*self.slots, part),
            pictures={**self.pictures, **pictures},
        )

    def grafted(self, other: Transcript, slot: int) -> Transcript:
        """The transcript with a slot as another one has it."""
        part = other.part(slot)
        if part is None:
            raise ValueError(f"slot {slot} is not in the transcript")
        found = self.with_slot(slot, other.exchanges(part.asked), other.exchanges(part.contrast), {}, part.truncated)
        if other.reference is None:
            return found
        own = self.reference or replace(other.reference, questions=(), answers=(), slots=())
        return replace(found, reference=own.grafted(other.reference, slot))

    def exchanges(self, places: Sequence[int]) -> list[Exchange]:
        """Questions with their answers."""
        return [(self.questions[place], self.answers[place]) for place in places]

    @property
    def pictures_named(self) -> frozenset[str]:
        """Hashes of all pictures that were shown or answered, the reference's among them."""
        shown = {question.picture for question in self.questions if question.picture}
        own = shown | {answer.sha256 for answer in self.answers if answer.size is not None}
        return frozenset(own | (self.reference.pictures_named if self.reference else frozenset()))

    def slot_digest(self, slot: int) -> str:
        """SHA-256 of a slot's questions and answers, the reference's among them, 64 hex digits.

        What is fixed before the slot's key is used. Notes and flags are left out: they score nothing.
        """
        return hashlib.sha256(canonical_json(self._content(slot))).hexdigest()

    def _content(self, slot: int) -> list[Any]:
        part = self.part(slot)
        rows = [
            [[q.prompt, q.seed, q.picture, a.sha256] for q, a in self.exchanges(places)]
            for places in ((part.asked, part.contrast) if part else ())
        ]
        return [self.release, slot, *rows, self.reference._content(slot) if self.reference else None]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all of it but the pictures, which it names by their hashes; 64 hex digits."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Canonical JSON; pictures are named by their hashes."""
        return canonical_json(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Everything but pixels, ready for JSON."""
        return {
            "tracemark_transcript": FORMAT,
            "release": self.release,
            "kind": self.kind,
            "suspect": {"name": self.suspect, "identity": dict(self.identity)},
            "plan": dict(self.plan),
            "classes": list(self.classes),
            "questions": [asdict(question) for question in self.questions],
            "answers": [asdict(answer) for answer in self.answers],
            "slots": [asdict(part) for part in self.slots],
            "reference": self.reference.as_dict() if self.reference else None,
        }


def _place(pair: Exchange, known: dict[Exchange, int], more: list[Exchange]) -> int:
    """Where a question with its answer stands; it is added if it stands nowhere."""
    if pair not in known:
        known[pair] = len(known)
        more.append(pair)
    return known[pair]


def transcript_from(row: Any, pictures: Mapping[str, Pixels] | None = None) -> Transcript:
    """A transcript from its JSON value.

    Args:
        row: as `Transcript.as_dict` gives it.
        pictures: those at hand, by the hash of their pixels.

    Raises:
        InputError: if it is none, or of another format.
    """
    try:
        return _from(row, pictures or {})
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, RecursionError) as error:
        raise InputError(f"this is no transcript ({error})", "Take the file as `detect run` wrote it.") from None


def _from(row: Any, pictures: Mapping[str, Pixels]) -> Transcript:
    if row["tracemark_transcript"] != FORMAT:
        raise ValueError(f"format {row['tracemark_transcript']}; this program reads {FORMAT}")
    found = Transcript(
        release=row["release"],
        kind=row["kind"],
        suspect=row["suspect"]["name"],
        identity=row["suspect"]["identity"],
        plan=row["plan"],
        classes=tuple(row["classes"]),
        questions=tuple(Question(**question) for question in row["questions"]),
        answers=tuple(_recorded(answer) for answer in row["answers"]),
        slots=tuple(SlotPart(p["slot"], tuple(p["asked"]), tuple(p["contrast"]), p["truncated"]) for p in row["slots"]),
        reference=_from(row["reference"], pictures) if row["reference"] else None,
        pictures=pictures,
    )
    for part in found.slots:
        found.exchanges((*part.asked, *part.contrast))
    if len(found.questions) != len(found.answers):
        raise ValueError(f"{len(found.answers)} answers to {len(found.questions)} questions")
    if found.reference is not None and found.reference.kind != found.kind:
        raise ValueError("its reference gave answers of another kind")
    if found.kind == "pictures" and not all(map(_told_rightly, found.answers)):
        raise ValueError("an answer with a picture is told of as a refusal, or a refusal as an answer")
    return found


def _told_rightly(answer: Recorded) -> bool:
    """Whether it has a picture and its size, or is a refusal: families score the two differently."""
    refused = not answer.sha256
    return refused == (answer.size is None) == (REFUSED in answer.flags)


def _recorded(row: Mapping[str, Any]) -> Recorded:
    size = row["size"]
    lists = {"scores": tuple(row["scores"]), "flags": tuple(row["flags"])}
    return Recorded(**{**row, **lists, "size": (int(size[0]), int(size[1])) if size else None})


def recorded_picture(answer: Answer) -> Recorded:
    """A picture or a refusal as it goes into a transcript; what is of one colour is flagged."""
    flags = set(answer.flags)
    if answer.picture is None:
        return Recorded("", flags=tuple(sorted(flags | {REFUSED})), note=answer.note)
    if is_blank(answer.picture):
        flags.add(BLANKED)
    height, width = answer.picture.shape[:2]
    return Recorded(pixel_hash(answer.picture), (height, width), flags=tuple(sorted(flags)), note=answer.note)


def is_blank(picture: Pixels) -> bool:
    """Whether it is of one colour, as safety checkers leave it."""
    return bool((picture == picture[0, 0]).all())


def recorded_label(label: int, scores: Sequence[float] = ()) -> Recorded:
    """A classifier's answer as it goes into a transcript."""
    found = tuple(float(score) for score in scores)
    return Recorded(hashlib.sha256(canonical_json([label, found])).hexdigest(), label=label, scores=found)
