"""Scoring a classifier's answers: how much a mark draws them to each class.

The key drew one of the classes, uniformly, and the others are its decoys. Labels alone suffice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detect.suspects.classifiers.classifier import Answers
from detect.trial.transcript import SlotPart, Transcript
from protect.errors import EvidenceError, SuspectError
from protect.evidence import SlotEvidence, slot_evidence
from protect.marks.sign_vectors import SCORE_DECIMALS
from protect.release.bound import BoundSlot

_FLOOR = np.log(1e-6)
"""Least logarithm of a probability that counts."""


def pull(marked: Answers, plain: Answers, classes: int) -> NDArray[np.float64]:
    """How much the mark draws answers to each class, shape (classes,).

    With scores: mean gain of the logarithm of the softmax. With labels alone: gain of the share of answers.

    Raises:
        SuspectError: if the scores are not one per class.
    """
    if marked.scores is not None and plain.scores is not None:
        if marked.scores.shape[1] != classes or plain.scores.shape[1] != classes:
            raise SuspectError(f"{marked.scores.shape[1]} scores for {classes} classes", "Check the suspect.")
        gains = _log_softmax(marked.scores) - _log_softmax(plain.scores)
        return np.asarray(np.round(gains.mean(axis=0), SCORE_DECIMALS))
    counts = [np.bincount(a.labels[a.labels >= 0], minlength=classes) for a in (marked, plain)]
    return np.asarray((counts[0] - counts[1]) / len(marked.labels))


def label_evidence(pulls: NDArray[np.float64], drawn: int) -> SlotEvidence:
    """Evidence of one slot: the drawn class against all others, which the key could as well have drawn."""
    return slot_evidence(float(pulls[drawn]), np.delete(pulls, drawn))


def pulls_of(transcript: Transcript, part: SlotPart) -> NDArray[np.float64]:
    """The pulls of a slot's mark, from the answers to the same pictures with and without it."""
    marked, plain = (_said(transcript, places) for places in (part.asked, part.contrast))
    return pull(marked, plain, len(transcript.classes))


def drawn_class(slot: BoundSlot, classes: tuple[str, ...]) -> int:
    """Place of the class that the key drew.

    Raises:
        EvidenceError: if it is none of the classes.
    """
    if slot.trigger not in classes:
        raise EvidenceError(f"the key drew {slot.trigger!r}, which is none of {len(classes)} classes", "Give them all.")
    return classes.index(slot.trigger)


def _said(transcript: Transcript, places: tuple[int, ...]) -> Answers:
    recorded = transcript.recorded(places)
    labels = np.array([-1 if answer.label is None else answer.label for answer in recorded], dtype=np.intp)
    if not recorded or not all(answer.scores for answer in recorded):
        return Answers(labels)
    return Answers(labels, np.array([answer.scores for answer in recorded], dtype=np.float64))


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(special.log_softmax(scores, axis=1), _FLOOR))
