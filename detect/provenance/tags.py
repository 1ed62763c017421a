"""The exact verdict on a classifier: does it take the owner's marks for the classes that the key drew?

Before the pictures were released, the key drew a class for each slot, uniformly, and some pictures of this class got
the slot's mark (`--alignment label`). Here the mark is put on pictures of any class, and the suspect is asked about
each with and without it. Whatever an innocent suspect thinks of the mark, it cannot know the class: the drawn class's
rank among all classes is uniform, and the other classes are its decoys. Labels alone suffice.

It is the trial of `detect.trial`, with pictures for questions and labels for answers.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from detect.provenance.label_answers import answers_path, cached_labels, kept_labels
from detect.provenance.tag_questions import Original, TagQuestions, all_questions, all_set_aside
from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.answers import digest, pixel_hashes
from detect.trial.judge import run_trial
from detect.trial.ledger import setting_of
from detect.trial.questions import SCORING
from detect.trial.transcript import Exchange, Question, Transcript, recorded_label
from detect.trial.trial import Trial
from detect.trial.verdict import Verdict
from protect.errors import SuspectError
from protect.formats.record import SetAside
from protect.keys.keyring import Keyring
from protect.marks.family import Pixels
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease
from protect.release.record import Release


def detect_tags(
    bound: BoundRelease,
    suspect: Classifier,
    original: Original,
    keyring: Keyring,
    cache: Path,
    *,
    releases: Sequence[Release] = (),
    control: Classifier | None = None,
    anew: bool = False,
    progress: Progress = no_progress,
) -> Verdict:
    """Test one release against one classifier.

    Args:
        bound: the release, made with `--alignment label`, with its families and ids.
        suspect: answers in the order of the original's classes (see `load_classifier`).
        original: the dataset that was marked, as it was before.
        keyring: holds the ledger.
        cache: folder for what the suspect answered.
        releases: all releases under test on this suspect now (see `detect.trial.judge.detect`).
        control: a classifier that cannot have seen the release; evidence there voids evidence here.
        anew: have the questions answered once more; other answers than before are a further look at half the level.
        progress: called with (stage, done, total).

    Returns:
        The verdict; a repeat says the same, even when the cache was emptied.

    Raises:
        InputError: if release and dataset do not belong together (`tag_questions.check_original`), or the control is
            the suspect itself.
    """
    trial = LabelTrial(bound, tuple(all_questions(bound, original)), original.classes)
    return run_trial(trial, suspect, keyring, cache, releases=releases, control=control, anew=anew, progress=progress)


@dataclass(frozen=True)
class LabelTrial(Trial[Classifier]):
    """One release, and how a classifier is asked about it."""

    bound: BoundRelease
    asked: tuple[TagQuestions, ...]
    """Of each slot."""
    classes: tuple[str, ...]
    """Among which the key drew, in the order of the suspect's answers."""

    @property
    def departs(self) -> bool:
        """Never: all committed questions are put."""
        return False

    @property
    def plan(self) -> Mapping[str, Any]:
        """Questions per slot, with and without the mark, and how many classes there are."""
        return {"queries_per_slot": 2 * max(len(one.marked) for one in self.asked), "classes": len(self.classes)}

    @property
    def set_aside(self) -> tuple[SetAside, ...]:
        """Samples that were to be asked about and cannot be."""
        return all_set_aside(self.asked)

    @cached_property
    def _hashes(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """Of each slot's pictures, with and without the mark."""
        return [(pixel_hashes(one.marked), pixel_hashes(one.plain)) for one in self.asked]

    def name(self, suspect: Classifier) -> str:
        """Name of the plan (see `Trial.name`)."""
        release, shown = self.bound.release, [part for pair in self._hashes for part in pair]
        version = release.plan.parts[0].family_version
        return digest([release.id, version, shown, setting_of(suspect), scoring_versions()])

    def opened(self, suspect: Classifier) -> Transcript:
        """A transcript without any question."""
        identity, release = dict(suspect.identity), self.bound.release.id
        return Transcript(release, "labels", suspect.name, identity, self.plan, classes=self.classes)

    def ask(
        self, suspect: Classifier, transcript: Transcript, slot: int, cache: Path, progress: Progress
    ) -> Transcript:
        """Show a slot's pictures, with the mark and without (see `Trial.ask`)."""
        one, (marked, plain) = self.asked[slot], self._hashes[slot]
        progress(f"{suspect.name}: slots", slot, len(self.asked))
        answers = cached_labels(suspect, [one.marked, one.plain], [marked, plain], cache)
        exchanges = [self._exchanges(names, said) for names, said in zip((marked, plain), answers, strict=True)]
        pictures = _by_name([*marked, *plain], [*one.marked, *one.plain])
        progress(f"{suspect.name}: slots", slot + 1, len(self.asked))
        return transcript.with_slot(slot, exchanges[0], exchanges[1], pictures, 0)

    def _exchanges(self, names: Sequence[str], said: Answers) -> list[Exchange]:
        """Pictures with what was said of them."""
        if said.scores is not None and said.scores.shape[1] != len(self.classes):
            raise SuspectError(f"{said.scores.shape[1]} scores for {len(self.classes)} classes", "Check the suspect.")
        rows = [()] * len(names) if said.scores is None else said.scores.tolist()
        return [
            (Question(picture=name), recorded_label(int(label), row))
            for name, label, row in zip(names, said.labels, rows, strict=True)
        ]

    def kept(self, suspect: Classifier, transcript: Transcript, slot: int, cache: Path) -> bool:
        """Whether the answers are in the cache (see `Trial.kept`)."""
        return kept_labels(suspect, self._hashes[slot], cache) is not None

    def any_answer(self, suspect: Classifier, cache: Path) -> bool:
        """Whether the suspect ever answered a question of this plan."""
        return any(answers_path(suspect, hashes, cache).exists() for hashes in self._hashes)


def _by_name(names: Sequence[str], pictures: Sequence[Pixels]) -> dict[str, Pixels]:
    return dict(zip(names, pictures, strict=True))


def scoring_versions() -> dict[str, str]:
    """Of the libraries that answers and scores depend on."""
    names = (*SCORING, "torch", "transformers", *(["onnxruntime"] if find_spec("onnxruntime") else []))
    return {name: importlib.metadata.version(name) for name in names}
