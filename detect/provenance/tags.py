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
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from detect.suspects.classifiers.answers import write_queries
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.answers import digest, pixel_hashes
from detect.trial.judge import check_version, flags, versions
from detect.trial.ledger import Standing, register, setting_of, subject_of, withdraw
from detect.trial.questions import SCORING
from detect.trial.verdict import Outcome
from protect.alignments import is_for_classifiers, slot_family
from protect.alignments.label import class_names
from protect.embed.verify import on_white
from protect.embed.write import Progress
from protect.errors import InputError, SuspectError, TracemarkError
from protect.evidence import SlotEvidence, overall_p_value, reachable, running_evidence, slot_evidence
from protect.files import canonical_json, sha256_file, write_atomic
from protect.formats import open_dataset
from protect.formats.dataset_format import Sample
from protect.keys.tree import prf_int, prf_rng
from protect.marks.family import Pixels
from protect.marks.sign_vectors import SCORE_DECIMALS
from protect.pixels.images import obstacle, picture_at, read_rgba
from protect.release.plan import dataset_digest
from protect.release.record import Keyring, Release

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
            "versions": versions(),
        }


@dataclass(frozen=True, slots=True)
class Questions:
    """What a slot asks: the same pictures with and without the mark."""

    marked: Pixels
    plain: Pixels


def all_questions(release: Release, dataset: Path) -> list[Questions]:
    """The pictures of every slot.

    Args:
        release: made with `--alignment label`.
        dataset: the folder that was marked, as it was before.

    Raises:
        InputError: see `checked_samples`.
    """
    samples = checked_samples(release, dataset)
    return [slot_questions(release, dataset, samples, slot) for slot in range(release.plan.slots)]


def slot_questions(release: Release, dataset: Path, samples: Sequence[Sample], slot: int) -> Questions:
    """The pictures of one slot, drawn from the whole unmarked dataset without regard to classes.

    Carriers are not left out: that would leave fewer pictures of the drawn class, and tell it.
    """
    family = slot_family(release, slot)
    order = sorted((s.key for s in samples), key=lambda key: (prf_int(release.secret, "probe", slot, key), key))
    usable = (key for key in order if obstacle(dataset / key, family.min_side) is None)
    keys = list(islice(usable, release.plan.queries))
    sources = [read_rgba(dataset / key) for key in keys]
    mark = release.planted_id(slot)
    marked = [
        family.plant(picture, mark, prf_rng(release.secret, "probe placement", slot, key))
        for key, picture in zip(keys, sources, strict=True)
    ]
    side = int(np.median([max(p.shape[:2]) for p in sources]))
    return Questions(_stacked(marked, side), _stacked(sources, side))


def checked_samples(release: Release, dataset: Path) -> tuple[Sample, ...]:
    """The samples of the unmarked dataset.

    Raises:
        InputError: if the release is of another kind or version, or the dataset is not the one: the marked copy has
            the same names and classes, and its carriers would tell the drawn class.
    """
    if not is_for_classifiers(release):
        raise InputError(f"release {release.name} is for text-to-image models", "Use: detect run")
    check_version(release)
    samples = open_dataset(dataset).listing.samples
    if dataset_digest(samples) != release.plan.dataset_sha256:
        raise InputError(f"{dataset} is not the dataset of release {release.name}", "Give the unmarked original.")
    if any(sha256_file(dataset / carrier.key) == carrier.sha256 for carrier in release.carriers):
        raise InputError(f"{dataset} is the marked copy of release {release.name}", "Give the unmarked original.")
    return samples


def classes_of(dataset: Path) -> tuple[tuple[str, ...], str]:
    """A dataset's classes, sorted, and its digest as releases commit to it."""
    samples = open_dataset(dataset).listing.samples
    return tuple(class_names(samples)), dataset_digest(samples)


def written_questions(folder: Path, releases: Sequence[Release], dataset: Path, classes: tuple[str, ...]) -> int:
    """Write all pictures that releases ask about, for somebody else to put to a black box; returns how many."""
    asked = [question for release in releases for question in all_questions(release, dataset)]
    return write_queries(folder, [p for q in asked for part in (q.marked, q.plain) for p in part], classes)


def _stacked(pictures: Sequence[Pixels], side: int) -> Pixels:
    """RGBA pictures on white, at one size, shape (n, side, side, 3)."""
    return np.stack([picture_at(on_white(p), side) for p in pictures])


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
    release: Release,
    suspect: Classifier,
    dataset: Path,
    keyring: Keyring,
    *,
    releases: Sequence[Release] = (),
    progress: Progress = lambda *_: None,
) -> TagVerdict:
    """Test one release against one classifier.

    Args:
        release: the secret record, made with `--alignment label`.
        suspect: answers in the order of the dataset's sorted classes (see `load_classifier`).
        dataset: the unmarked original.
        keyring: holds cache and ledger.
        releases: all releases under test on this suspect now (see `detect.trial.judge.detect`).
        progress: told (stage, done, total).

    Returns:
        The verdict; a repeat answers the same from the cache, and what was interrupted goes on.

    Raises:
        InputError: see `checked_samples`.
    """
    asked = all_questions(release, dataset)
    classes, _ = classes_of(dataset)
    shown = [pixel_hashes(part) for q in asked for part in (q.marked, q.plain)]
    plan = digest([release.id, release.plan.family_version, shown, setting_of(suspect), scoring_versions()])
    standing = register(keyring, releases or [release], release, suspect, plan)
    threshold = standing.share / (release.plan.alpha / 2**standing.further_plans)
    cache = keyring.folder("cache") / f"tags-{digest([subject_of(suspect), plan])}"
    slots: list[TagSlot] = []
    reason = ""
    for slot, question in enumerate(asked):
        progress(f"{suspect.name}: slots", slot, len(asked))
        try:
            pulls = _pulls(suspect, question, len(classes), cache.with_name(f"{cache.name}-{slot}.json"))
        except TracemarkError as error:  # one release's trouble must not end the tests of the others
            reason = error.what
            break
        drawn = classes.index(release.slots[slot].trigger)
        evidence = label_evidence(pulls, drawn)
        slots.append(TagSlot(classes[drawn], tuple(map(float, pulls)), evidence, question.marked, question.plain))
        if running_evidence([s.evidence for s in slots])[-1] >= threshold:
            break
    progress(f"{suspect.name}: slots", len(asked), len(asked))
    if reason and not slots and standing.new:
        withdraw(keyring, release, suspect, plan)
    return _verdict(release, suspect, standing, threshold, classes, slots, reason)


def _pulls(suspect: Classifier, question: Questions, classes: int, cache: Path) -> NDArray[np.float64]:
    """A slot's pulls; asked once, then read back: a suspect that answers at random must not be asked again."""
    if cache.exists():
        return np.array(json.loads(cache.read_bytes()), dtype=np.float64)
    pulls = pull(suspect.answer(question.marked), suspect.answer(question.plain), classes)
    write_atomic(cache, canonical_json(pulls.tolist()), mode=0o600)
    return pulls


def _verdict(
    release: Release,
    suspect: Classifier,
    standing: Standing,
    threshold: float,
    classes: tuple[str, ...],
    slots: Sequence[TagSlot],
    reason: str,
) -> TagVerdict:
    running = running_evidence([s.evidence for s in slots])
    best = float(running.max(initial=0.0)) if len(running) else 1.0
    if best >= threshold:
        reason = ""
    elif not reason and all(np.ptp(s.pull) == 0 for s in slots):
        reason = "its answers do not depend on the marks at all: does it answer the same to everything?"
    elif not reason and not reachable(release.plan.decoys, release.plan.slots, threshold):
        reason = f"evidence of {threshold:g} is out of reach of this release's slots and classes"
    return TagVerdict(
        "evidence" if best >= threshold else "inconclusive" if reason else "no evidence",
        reason,
        release,
        suspect.name,
        dict(suspect.identity),
        release.plan.alpha / 2**standing.further_plans,
        threshold,
        best,
        overall_p_value(running),
        tuple(float(e) for e in running),
        sum(2 * len(s.marked) for s in slots),
        classes,
        tuple(slots),
        flags(release, standing.further_plans, None),
        standing.suspects_tested,
    )


def scoring_versions() -> dict[str, str]:
    """Of the libraries that answers and scores depend on."""
    names = (*SCORING, "torch", "transformers", *(["onnxruntime"] if find_spec("onnxruntime") else []))
    return {name: importlib.metadata.version(name) for name in names}
