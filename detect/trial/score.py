"""Scoring a slot: a function of a release and a transcript alone, planted mark and decoys in one call.

Needs no torch: whoever holds a release and a transcript with its pictures computes the same evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from detect.trial.labels import drawn_class, pulls_of
from detect.trial.questions import slot_queries
from detect.trial.result import Scores, Shown, SlotResult, count
from detect.trial.sizes import at_size, common_size
from detect.trial.transcript import BLANKED, Recorded, SlotPart, Transcript, is_blank
from protect.errors import EvidenceError, InputError
from protect.evidence import slot_evidence
from protect.marks.family import Answers, Pixels
from protect.release.bound import BoundRelease, BoundSlot

_MARK_SIDE = 96
"""Pixels of the planted mark's picture in a verdict."""


def score_slot(bound: BoundRelease, transcript: Transcript, slot: int) -> SlotResult:
    """Score one slot's answers.

    Args:
        bound: the release with its families and ids.
        transcript: with the slot's answers, their pictures at hand.
        slot: its number.

    Raises:
        EvidenceError: if the transcript is another release's, the slot was not asked, other questions were asked than
            the release planned, or a picture is not at hand.
    """
    part = transcript.part(slot)
    if transcript.release != bound.release.id or part is None:
        raise EvidenceError(
            f"the transcript of release {transcript.release} has no answers for slot {slot} of {bound.release.id}",
            "Give the transcript of this release.",
        )
    own = bound.slots[slot]
    return _by_labels(own, transcript, part) if transcript.kind == "labels" else _by_pictures(own, transcript, part)


def slot_answers(slot: BoundSlot, transcript: Transcript, part: SlotPart) -> Answers:
    """A slot's answers as its family scores them, those of the reference beside them.

    Raises:
        EvidenceError: if other questions were asked than the release planned, or a picture is not at hand.
    """
    _check_questions(slot, transcript, part)
    answers = _answers(transcript, part)
    compared = transcript.reference.part(slot.number) if transcript.reference else None
    if transcript.reference and slot.family.uses_reference:
        if compared is None or len(compared.asked) != len(part.asked):
            raise EvidenceError(
                f"the reference has no answers for slot {slot.number}, or to another number of questions",
                "Ask it the same questions for all slots, or none.",
            )
        _check_questions(slot, transcript.reference, compared)
        answers = replace(answers, reference=_answers(transcript.reference, compared))
    return answers


def _by_pictures(slot: BoundSlot, transcript: Transcript, part: SlotPart) -> SlotResult:
    answers = slot_answers(slot, transcript, part)
    planted = np.array([slot.planted], dtype=np.uint64)
    scores = slot.family.score(answers, np.concatenate([planted, slot.decoys]))
    return SlotResult(
        slot=slot.number,
        trigger=slot.trigger,
        evidence=slot_evidence(float(scores[0]), scores[1:]),
        counted=count(transcript, slot.number),
        scores=Scores(float(scores[0]), scores[1:]),
        shown=Shown(
            mark=slot.family.preview(slot.planted, _MARK_SIDE),
            portrait=slot.family.portrait(answers, _MARK_SIDE),
            pictures=answers.asked,
            captions=slot.questions.prompts[: len(part.asked)],
            others=answers.contrast,
        ),
    )


def _check_questions(slot: BoundSlot, transcript: Transcript, part: SlotPart) -> None:
    """Refuse answers to other questions than the release planned."""
    planned = [(query.prompt, query.seed) for query in slot_queries(slot, len(part.asked))]
    put = [(q.prompt, q.seed) for q, _ in transcript.exchanges((*part.asked, *part.contrast))]
    if planned != put:
        raise EvidenceError(
            f"the transcript's questions for slot {slot.number} are not those that the release planned",
            "Ask the suspect the release's own questions.",
        )


def _answers(transcript: Transcript, part: SlotPart) -> Answers:
    """A slot's answers at one size; a refusal is black."""
    recorded = transcript.recorded((*part.asked, *part.contrast))
    held = [_picture(transcript, answer) if answer.size else None for answer in recorded]
    size = common_size([answer.size for answer in recorded if answer.size])
    pictures = np.stack([at_size(picture, size) for picture in held])
    asked = len(part.asked)
    return Answers(pictures[:asked], pictures[asked:] if part.contrast else None)


def _picture(transcript: Transcript, answer: Recorded) -> Pixels:
    """The picture of an answer; what the transcript tells of it must be true, since scores and flags rest on it."""
    name = f"the transcript's picture {answer.sha256[:16]}"
    try:
        picture = transcript.pictures[answer.sha256]
    except KeyError:
        raise EvidenceError(f"{name} is not at hand", "Restore its pictures.") from None
    if picture.shape[:2] != answer.size or is_blank(picture) != (BLANKED in answer.flags):
        raise EvidenceError(f"{name} has another size or other flags than are told", "Take it as it was written.")
    return picture


def _by_labels(slot: BoundSlot, transcript: Transcript, part: SlotPart) -> SlotResult:
    classes = transcript.classes
    pulls, drawn = pulls_of(transcript, part), drawn_class(slot, classes)
    others, names = np.delete(pulls, drawn), tuple(np.delete(classes, drawn).tolist())
    said = [answer.label for answer in transcript.recorded(part.asked)]
    return SlotResult(
        slot=slot.number,
        trigger=slot.trigger,
        evidence=slot_evidence(float(pulls[drawn]), others),
        counted=count(transcript, slot.number),
        scores=Scores(float(pulls[drawn]), others, names),
        shown=Shown(
            mark=slot.family.preview(slot.planted, _MARK_SIDE),
            portrait=None,
            pictures=_questions_shown(transcript, part.asked),
            captions=tuple("another" if not label or label < 0 else classes[label] for label in said),
            others=_questions_shown(transcript, part.contrast),
        ),
    )


def _questions_shown(transcript: Transcript, places: Sequence[int]) -> Pixels:
    """The pictures that a classifier was shown; none where they are not at hand, since labels score without them."""
    try:
        return np.stack([transcript.pictures[transcript.questions[place].picture] for place in places])
    except (KeyError, InputError, ValueError):
        return np.empty((0, 1, 1, 3), dtype=np.uint8)
