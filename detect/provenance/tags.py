"""The exact verdict on a classifier: does it take the owner's marks for the classes that the key drew?

Before the pictures were released, the key drew a class for each slot, uniformly, and some pictures of this class got
the slot's mark (`--alignment label`). Here the mark is put on pictures of any class, and the suspect is asked about
each with and without it. Whatever an innocent suspect thinks of the mark, it cannot know the class: the drawn class's
rank among all classes is uniform, and the other classes are its decoys. Labels alone suffice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detect.classifiers.answers import write_queries
from detect.classifiers.interface import Answers, Classifier
from detect.evidence import SlotEvidence, overall_p_value, running_evidence, slot_evidence
from detect.interface import Outcome
from detect.ledger import register, setting_of
from detect.query import digest
from detect.run import versions
from protect.alignments import is_for_classifiers, slot_family
from protect.alignments.label import class_names
from protect.bets import reachable
from protect.embed import Progress
from protect.errors import InputError, SuspectError
from protect.formats import open_dataset
from protect.images import obstacle, read_rgba
from protect.keys import prf_int, prf_rng
from protect.marks.interface import Pixels
from protect.plan import dataset_digest
from protect.release import Keyring, Release
from protect.verify import on_white

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

    def as_json(self) -> dict[str, Any]:
        """Everything but pixels, ready for JSON."""
        return {
            "verdict": self.outcome, "reason": self.reason, "alpha": self.alpha, "threshold": self.threshold,
            "e_value": self.e_value, "p_value": self.p_value, "queries": self.queries,
            "slots": [
                {"slot": k, "drawn": s.drawn, "p_value": s.evidence.p_value, "e_value": s.evidence.e_value,
                 "running_e_value": e, "pull": dict(zip(self.classes, s.pull, strict=True))}
                for k, (s, e) in enumerate(zip(self.slots, self.running, strict=True))
            ],
            "release": {"id": self.release.id, "name": self.release.name, "commitment": self.release.commitment},
            "suspect": {"name": self.suspect, **self.identity}, "flags": list(self.flags),
            "suspects_tested_with_this_release": self.suspects_tested, "versions": versions(),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Questions:
    """What a slot asks: the same pictures with and without the mark."""

    marked: Pixels
    plain: Pixels


def questions(release: Release, dataset: Path, slot: int) -> Questions:
    """The pictures of one slot, drawn from the whole unmarked dataset without regard to classes.

    Carriers are not left out: that would leave fewer pictures of the drawn class, and tell it.

    Args:
        release: made with `--alignment label`.
        dataset: the folder that was marked, as it was before.
        slot: number of the slot.

    Raises:
        InputError: if the release is of another kind, or the dataset is not the one.
    """
    if not is_for_classifiers(release):
        raise InputError(f"release {release.name} is for text-to-image models", "Use: detect run")
    samples = open_dataset(dataset).listing.samples
    if dataset_digest(samples) != release.plan.dataset_sha256:
        raise InputError(f"{dataset} is not the dataset of release {release.name}", "Give the unmarked original.")
    family = slot_family(release, slot)
    order = sorted((s.key for s in samples), key=lambda key: (prf_int(release.secret, "probe", slot, key), key))
    usable = (key for key in order if obstacle(dataset / key, family.min_side) is None)
    keys = [key for key, _ in zip(usable, range(release.plan.queries), strict=False)]
    sources = [read_rgba(dataset / key) for key in keys]
    mark = release.planted_id(slot)
    marked = [
        family.plant(picture, mark, prf_rng(release.secret, "probe placement", slot, key))
        for key, picture in zip(keys, sources, strict=True)
    ]
    side = int(np.median([max(p.shape[:2]) for p in sources]))
    return Questions(_stacked(marked, side), _stacked(sources, side))


def classes_of(dataset: Path) -> tuple[tuple[str, ...], str]:
    """A dataset's classes, sorted, and its digest as releases commit to it."""
    samples = open_dataset(dataset).listing.samples
    return tuple(class_names(samples)), dataset_digest(samples)


def written_questions(folder: Path, releases: Sequence[Release], dataset: Path, classes: tuple[str, ...]) -> Path:
    """Write all pictures that releases ask about, for somebody else to put to a black box; returns the table."""
    asked = [questions(release, dataset, slot) for release in releases for slot in range(release.plan.slots)]
    return write_queries(folder, np.concatenate([p for q in asked for p in (q.marked, q.plain)]), classes)


def _stacked(pictures: Sequence[Pixels], side: int) -> Pixels:
    """RGBA pictures on white, at one size, shape (n, side, side, 3)."""
    from protect.basis import picture_at

    return np.stack([picture_at(on_white(p), side) for p in pictures])


def pull(marked: Answers, plain: Answers, classes: int) -> NDArray[np.float64]:
    """How much the mark draws answers to each class, shape (classes,).

    With scores: mean gain of the logarithm of the softmax. With labels alone: gain of the share of answers.
    """
    if marked.scores is not None and plain.scores is not None:
        gains = _log_softmax(marked.scores) - _log_softmax(plain.scores)
        return np.asarray(np.round(gains.mean(axis=0), 9))
    shares = [np.bincount(a.labels[a.labels >= 0], minlength=classes) / len(a.labels) for a in (marked, plain)]
    return np.asarray(shares[0] - shares[1])


def _log_softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(np.maximum(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)), _FLOOR))


def label_evidence(pulls: NDArray[np.float64], drawn: int) -> SlotEvidence:
    """Evidence of one slot: the drawn class against all others, which the key could as well have drawn."""
    return slot_evidence(float(pulls[drawn]), np.delete(pulls, drawn))


def detect_tags(
    release: Release, suspect: Classifier, dataset: Path, keyring: Keyring, *, releases: Sequence[Release] = (),
    progress: Progress = lambda *_: None,
) -> TagVerdict:  # fmt: skip
    """Test one release against one classifier.

    Args:
        release: the secret record, made with `--alignment label`.
        suspect: answers in the order of the dataset's sorted classes (see `load_classifier`).
        dataset: the unmarked original.
        keyring: holds the ledger.
        releases: all releases under test on this suspect now (see `detect.run.detect`).
        progress: told (stage, done, total).

    Raises:
        InputError: see `questions`.
    """
    asked = [questions(release, dataset, slot) for slot in range(release.plan.slots)]
    classes, _ = classes_of(dataset)
    plan = digest([release.id, "tags", release.plan.queries, setting_of(suspect), versions()])
    standing = register(keyring, releases or [release], release, suspect, plan)
    alpha = release.plan.alpha / 2**standing.further_plans
    threshold = standing.share / alpha
    slots: list[TagSlot] = []
    reason, queries = "", 0
    for slot, question in enumerate(asked):
        progress(f"{suspect.name}: slots", slot, len(asked))
        try:
            marked, plain = suspect.answer(question.marked), suspect.answer(question.plain)
        except SuspectError as error:
            reason = error.what
            break
        queries += len(question.marked) + len(question.plain)
        pulls = pull(marked, plain, len(classes))
        drawn = classes.index(release.slots[slot].trigger)
        slots.append(
            TagSlot(classes[drawn], tuple(map(float, pulls)), label_evidence(pulls, drawn), question.marked,
                    question.plain)
        )  # fmt: skip
        if running_evidence([s.evidence for s in slots])[-1] >= threshold:
            break
    progress(f"{suspect.name}: slots", len(asked), len(asked))
    running = running_evidence([s.evidence for s in slots])
    best = float(running.max(initial=0.0)) if len(running) else 1.0
    outcome: Outcome = "evidence" if best >= threshold else "no evidence"
    if outcome == "no evidence":
        if not reason and all(np.ptp(s.pull) == 0 for s in slots):
            reason = "its answers do not depend on the marks at all: does it answer the same to everything?"
        if not reason and not reachable(release.plan.decoys, release.plan.slots, threshold):
            reason = f"evidence of {threshold:g} is out of reach of this release's slots and classes"
        outcome = "inconclusive" if reason else outcome
    return TagVerdict(
        outcome, "" if outcome == "evidence" else reason, release, suspect.name, dict(suspect.identity), alpha,
        threshold, best, overall_p_value(running), tuple(float(e) for e in running), queries, classes, tuple(slots),
        ("no-public-coin", *(["throw-away-key"] if release.rehearsal else []),
         *([f"further-plan-{standing.further_plans}"] if standing.further_plans else [])),
        standing.suspects_tested,
    )  # fmt: skip
