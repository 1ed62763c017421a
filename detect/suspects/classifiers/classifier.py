"""What every suspect classifier must offer: a name, an identity, and labels for pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import SuspectError
from protect.marks.family import Pixels

BATCH = 64


@dataclass(frozen=True, slots=True)
class Answers:
    """What a classifier said about n pictures."""

    labels: NDArray[np.intp]
    """Class indices, shape (n,); -1 for a class that was not asked about."""
    scores: NDArray[np.float64] | None = None
    """One row a picture, larger means likelier, shape (n, classes); None if only labels are known."""


class Classifier(ABC):
    """An image classifier under test."""

    name: str
    """What reports call it."""
    identity: dict[str, str]
    """`weights` and everything else its answers depend on."""
    classes: tuple[str, ...] | None = None
    """Its own class names in the order of its outputs; None if it tells none."""

    @abstractmethod
    def answer(self, pictures: Pixels) -> Answers:
        """Labels, and scores if there are any, of RGB pictures (n, H, W, 3).

        Raises:
            SuspectError: if it does not answer, or answers nonsense.
        """


def answers_from_scores(scores: NDArray[np.float64], name: str) -> Answers:
    """The labels with the highest scores.

    Raises:
        SuspectError: if scores are not finite or not one row a picture.
    """
    if scores.ndim != 2 or scores.shape[1] < 2:
        raise SuspectError(
            f"{name} answered with an array of shape {scores.shape}", "A classifier gives (pictures, classes)."
        )
    if not np.isfinite(scores).all():
        raise SuspectError(f"{name} answered with NaN or infinite scores", "Check its weights and normalisation.")
    return Answers(scores.argmax(axis=1), scores)
