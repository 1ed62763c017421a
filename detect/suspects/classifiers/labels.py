"""Labels as suspects write them, and the classes they mean."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detect.suspects.classifiers.classifier import Answers, answers_from_scores
from protect.errors import SuspectError

_KNOWN_SHARE = 0.5
"""A suspect whose labels are mostly unknown was asked by other names than its own."""


def plain(name: str) -> str:
    """A name without differences of case, spaces, underscores and hyphens."""
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def nearest(name: str, names: Sequence[str]) -> str:
    """The closest names, as advice."""
    return f"Nearest: {', '.join(difflib.get_close_matches(name, names, 3, 0.0))}."


def indices(said: Sequence[object], own: Sequence[str], positions: bool, name: str) -> NDArray[np.intp]:
    """What written labels mean, shape (n,); -1 for a class that was not asked about.

    Args:
        said: names, or numbers.
        own: the suspect's class names, in order.
        positions: whether a number that is no name counts as a position among them.
        name: of the suspect.

    Raises:
        SuspectError: if most labels are unknown.
    """
    places = {plain(c): i for i, c in enumerate(own)}
    found = []
    for label in said:
        text = "" if isinstance(label, bool) else plain(str(label))
        place = places.get(text, -1)
        if place < 0 and positions and text.isdecimal() and int(text) < len(own):
            place = int(text)
        found.append(place)
    unknown = [str(label) for label, place in zip(said, found, strict=True) if place < 0]
    if len(unknown) > _KNOWN_SHARE * len(found):
        raise SuspectError(
            f"{name} answered {len(unknown)} of {len(found)} times with a label that is no class, first {unknown[0]!r}",
            f"{nearest(unknown[0], own)} Or give a --map: suspect's label, your class.",
        )
    return np.array(found, dtype=np.intp)


def with_scores(labels: NDArray[np.intp], scores: NDArray[np.float64] | None, name: str) -> Answers:
    """Labels with scores, where there are any.

    Raises:
        SuspectError: if scores are not finite or not one row a picture.
    """
    if scores is None:
        return Answers(labels)
    return Answers(labels, answers_from_scores(scores, name).scores)
