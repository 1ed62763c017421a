"""The exact verdict on a classifier: does it take the owner's marks for the classes that the key drew?

Before the pictures were released, the key drew a class for each slot, uniformly, and some pictures of this class got
the slot's mark (`--alignment label`). Here the mark is put on pictures of any class, and the suspect is asked about
each with and without it. Whatever an innocent suspect thinks of the mark, it cannot know the class: the drawn class's
rank among all classes is uniform, and the other classes are its decoys. Labels alone suffice.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detect.provenance.tag_questions import Original, TagQuestions, all_questions, all_set_aside
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.answers import digest, pixel_hashes
from detect.trial.judge import flags, versions
from detect.trial.ledger import commitments_held, register, setting_of, subject_of, withdraw
from detect.trial.questions import SCORING
from detect.trial.verdict import Outcome
from protect.errors import SuspectError, TracemarkError
from protect.evidence import SlotEvidence, overall_p_value, reachable, running_evidence, slot_evidence
from protect.files import canonical_json, private_folder, write_atomic
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels
from protect.marks.sign_vectors import SCORE_DECIMALS
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease
from protect.release.record import Release

_FLOOR = np.log(1e-6)
"""Least logarithm of a probability that counts."""


@dataclass(frozen=True, slots=True)
class TagSlot:
    """One slot, asked once; pictures are RGB (n, side, side, 3)."""

    drawn: str
    """The class that the key drew."""
    pull: tuple[float, ...]
    """How much the mark draws answers to each class."""
    evidence: SlotEvidence
    marked: Pixels
    plain: Pixels


@dataclass(frozen=True, slots=True)
class TagVerdict:
    """The answer about one release and one classifier."""

    outcome: Outcome
    reason: str
    release: Release
    suspect: str
    identity: dict[str, str]
    alpha: float
    threshold: float
    e_value: float
    p_value: float
    running: tuple[float, ...]
    queries: int
    classes: tuple[str, ...]
    slots: tuple[TagSlot, ...]
    flags: tuple[str, ...]
    suspects_tested: int
    commitments: int
    """Commitments that the keyring holds: each was a try to get a lucky key."""
    set_aside: tuple[SetAside, ...]
    """Samples that were to be asked about and cannot be."""

    def in_words(self) -> str:
        """One line for the terminal."""
        reason = f" ({self.reason})" if self.reason else ""
        return (
            f"{self.release.name}: {self.outcome}{reason}: E = {self.e_value:,.4g} of {self.threshold:,.0f} required, "
            f"{self.queries} pictures; commitments in the keyring: {self.commitments}"
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
            "slots": [
                {
                    "slot": k,
                    "drawn": s.drawn,
                    "p_value": s.evidence.p_value,
                    "e_value": s.evidence.e_value,
                    "running_e_value": e,
                    "pull": dict(zip(self.classes, s.pull, strict=True)),
                }
                for k, (s, e) in enumerate(zip(self.slots, self.running, strict=True))
            ],
            "release": {"id": self.release.id, "name": self.release.name, "commitment": self.release.commitment},
            "suspect": {"name": self.suspect, **self.identity},
            "flags": list(self.flags),
            "suspects_tested_with_this_release": self.suspects_tested,
            "commitments_held": self.commitments,
            "set_aside": [asdict(one) for one in self.set_aside],
            "versions": versions(),
        }


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


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(special.log_softmax(scores, axis=1), _FLOOR))


def label_evidence(pulls: NDArray[np.float64], drawn: int) -> SlotEvidence:
    """Evidence of one slot: the drawn class against all others, which the key could as well have drawn."""
    return slot_evidence(float(pulls[drawn]), np.delete(pulls, drawn))


def detect_tags(
    bound: BoundRelease,
    suspect: Classifier,
    original: Original,
    keyring: Keyring,
    cache: Path,
    *,
    releases: Sequence[Release] = (),
    progress: Progress = no_progress,
) -> TagVerdict:
    """Test one release against one classifier.

    Args:
        bound: the release, made with `--alignment label`, with its families and ids.
        suspect: answers in the order of the original's classes (see `load_classifier`).
        original: the dataset that was marked, as it was before.
        keyring: holds the ledger.
        cache: folder for what the suspect answered.
        releases: all releases under test on this suspect now (see `detect.trial.judge.detect`).
        progress: called with (stage, done, total).

    Returns:
        The verdict; a repeat answers the same from the cache, and what was interrupted goes on.

    Raises:
        InputError: if release and dataset do not belong together (`tag_questions.check_original`).
    """
    release = bound.release
    asked = all_questions(bound, original)
    shown = [pixel_hashes(part) for q in asked for part in (q.marked, q.plain)]
    plan = digest([release.id, release.plan.parts[0].family_version, shown, setting_of(suspect), scoring_versions()])
    place = register(keyring, releases or [release], release, suspect, plan)
    threshold = place.share / (release.plan.alpha / 2**place.further_plans)
    folder = private_folder(cache / f"tags-{digest([subject_of(suspect), plan])}")
    slots, reason = _ask(bound, suspect, asked, original.classes, threshold, folder, progress)
    if reason and not slots and place.new:
        withdraw(keyring, release, suspect, plan)
    running = running_evidence([s.evidence for s in slots])
    best = float(running.max()) if slots else 1.0
    outcome, reason = _judge(release, slots, best, threshold, reason)
    return TagVerdict(
        outcome=outcome,
        reason=reason,
        release=release,
        suspect=suspect.name,
        identity=dict(suspect.identity),
        alpha=release.plan.alpha / 2**place.further_plans,
        threshold=threshold,
        e_value=best,
        p_value=overall_p_value(running),
        running=tuple(float(e) for e in running),
        queries=sum(2 * len(s.marked) for s in slots),
        classes=original.classes,
        slots=tuple(slots),
        flags=flags(release, place),
        suspects_tested=place.suspects_tested,
        commitments=commitments_held(keyring),
        set_aside=all_set_aside(asked),
    )


def _ask(
    bound: BoundRelease,
    suspect: Classifier,
    asked: Sequence[TagQuestions],
    classes: tuple[str, ...],
    threshold: float,
    folder: Path,
    progress: Progress,
) -> tuple[list[TagSlot], str]:
    """Slots in order until the evidence suffices, and the suspect's trouble if it had any."""
    slots = list[TagSlot]()
    for number, question in enumerate(asked):
        progress(f"{suspect.name}: slots", number, len(asked))
        try:
            pulls = _pulls(suspect, question, len(classes), folder / f"slot-{number}.json")
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            return slots, error.what
        drawn = classes.index(bound.slots[number].trigger)
        found = tuple(map(float, pulls))
        slots.append(TagSlot(classes[drawn], found, label_evidence(pulls, drawn), question.marked, question.plain))
        if running_evidence([s.evidence for s in slots])[-1] >= threshold:
            break
    progress(f"{suspect.name}: slots", len(asked), len(asked))
    return slots, ""


def _pulls(suspect: Classifier, question: TagQuestions, classes: int, cache: Path) -> NDArray[np.float64]:
    """A slot's pulls; asked once, then read back: a suspect that answers at random must not be asked again."""
    if cache.exists():
        return np.array(json.loads(cache.read_bytes()), dtype=np.float64)
    pulls = pull(suspect.answer(question.marked), suspect.answer(question.plain), classes)
    write_atomic(cache, canonical_json(pulls.tolist()), mode=0o600)
    return pulls


def _judge(
    release: Release, slots: Sequence[TagSlot], best: float, threshold: float, trouble: str
) -> tuple[Outcome, str]:
    """The outcome, and why it is inconclusive."""
    if best >= threshold:
        return "evidence", ""
    if trouble:
        return "inconclusive", trouble
    if all(np.ptp(s.pull) == 0 for s in slots):
        return "inconclusive", "its answers do not depend on the marks at all: does it answer the same to everything?"
    if not reachable(release.plan.decoys, [None] * release.plan.slots, threshold):
        return "inconclusive", f"evidence of {threshold:g} is out of reach of this release's slots and classes"
    return "no evidence", ""


def scoring_versions() -> dict[str, str]:
    """Of the libraries that answers and scores depend on."""
    names = (*SCORING, "torch", "transformers", *(["onnxruntime"] if find_spec("onnxruntime") else []))
    return {name: importlib.metadata.version(name) for name in names}
