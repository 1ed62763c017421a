"""What a classifier said of a slot's pictures: asked once, then read back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detect.suspects.classifiers.classifier import Answers, Classifier
from detect.trial.answers import digest
from protect.files import canonical_json, private_folder, write_atomic
from protect.marks.family import Pixels

_DECIMALS = 6
"""Of scores: what is less is rounding, and need not be kept."""


def cached_labels(
    suspect: Classifier, shown: Sequence[Pixels], names: Sequence[tuple[str, ...]], cache: Path
) -> list[Answers]:
    """The classifier's answers to sets of pictures, from the cache where they are there already.

    Args:
        suspect: the classifier under test.
        shown: sets of RGB pictures, shape (n, H, W, 3) each.
        names: hashes of their pixels.
        cache: folder for answers of all suspects.

    Raises:
        SuspectError: if it does not answer, or answers nonsense.
    """
    if kept := kept_labels(suspect, names, cache):
        return kept
    path = answers_path(suspect, names, cache)
    said = [_rounded(suspect.answer(pictures)) for pictures in shown]
    private_folder(path.parent)
    rows = [{"labels": a.labels.tolist(), "scores": None if a.scores is None else a.scores.tolist()} for a in said]
    write_atomic(path, canonical_json(rows), mode=0o600)
    return said


def kept_labels(suspect: Classifier, names: Sequence[tuple[str, ...]], cache: Path) -> list[Answers] | None:
    """The answers if the cache holds them; None if the classifier would have to be asked."""
    try:
        found = [_from(row) for row in json.loads(answers_path(suspect, names, cache).read_bytes())]
        return found if [len(said.labels) for said in found] == [len(part) for part in names] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def answers_path(suspect: Classifier, names: Sequence[tuple[str, ...]], cache: Path) -> Path:
    """Where the answers to these pictures are kept."""
    return cache / f"labels-{digest(suspect.identity)}" / f"{digest(names)}.json"


def _rounded(said: Answers) -> Answers:
    return Answers(said.labels, None if said.scores is None else np.round(said.scores, _DECIMALS))


def _from(row: dict[str, list[int] | list[list[float]] | None]) -> Answers:
    scores = row["scores"]
    return Answers(np.array(row["labels"], dtype=np.intp), None if scores is None else np.array(scores, dtype=float))
