"""What a mark family is: a public distribution over marks, a way to plant one and a way to score many."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL
from protect.keys.tree import Ids

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]
FamilyOptions = dict[str, float | str]
"""Options of a family by name."""


class MarkFamily(ABC):
    """A mark family; one file per family holds both halves.

    A mark is named by a 64-bit id. All draws have the same distribution: the planted one differs from its
    decoys in nothing but having been published.
    """

    name: str
    summary: str
    """One line for people."""
    version: int
    """Raised whenever planting or scoring changes; part of the committed plan."""
    queries: int
    """Outputs asked for per slot unless the plan says otherwise."""
    paired: bool
    """Whether every question with the trigger is put without it too (same caption, same seed)."""
    needs_pairs: bool = False
    """Whether outputs cannot be scored without those answers."""
    carrier_side: int | None = 64
    """Side at which carriers are scored; None is their own size."""
    min_side: int
    """Smallest picture side, in pixels, that can carry a mark."""
    bytes_per_pixel: int = BYTES_PER_PIXEL
    """What reading, marking, writing and reading back a picture takes at most, for each of its pixels."""
    distinct: int | None = None
    """How many marks there are, for finite families: one slot hardly ever says more than 1 in so many."""
    shams: bool = False
    """Whether all other pictures get a mark of their own each, so that nothing but what carriers share tells them."""
    descriptions: tuple[str, ...] = ()
    """Phrases that may describe a mark of this family; none for marks that nobody sees."""

    def given(self, description: str) -> MarkFamily:
        """The family of the marks which one of its descriptions fits.

        Raises:
            InputError: if it is not one of `descriptions`.
        """
        raise InputError(f"family {self.name!r} has no marks described as {description!r}", "Use another alignment.")

    def obstacle(self, picture: Pixels) -> str | None:
        """Why this picture would carry nothing or too little, or None. Depends on the picture, never on a mark.

        Args:
            picture: RGBA, upright, shape (H, W, 4).
        """
        height, width = picture.shape[:2]
        return (
            f"{width}x{height} is smaller than {self.min_side} pixels" if min(height, width) < self.min_side else None
        )

    @abstractmethod
    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Plant one mark.

        Args:
            picture: RGBA, shape (H, W, 4).
            mark: id of the mark.
            rng: source of everything that is not the mark (placement, jitter); independent of it.

        Returns:
            The marked picture, RGBA, same shape.
        """

    @abstractmethod
    def preview(self, mark: int, side: int) -> Pixels:
        """What a mark looks like on its own, made visible: RGB, shape (side, side, 3)."""

    @abstractmethod
    def score(self, outputs: Pixels, untriggered: Pixels | None, marks: Ids) -> Array:
        """Score the same outputs against many marks in one call.

        Args:
            outputs: RGB pictures made from trigger prompts, shape (n, H, W, 3).
            untriggered: for a paired family the pictures of the same captions and seeds without the trigger,
                same shape; None otherwise.
            marks: ids, shape (m,).

        Returns:
            One score per mark, shape (m,); larger means more alike. Depends on each id alone, never on
            its place among the others.
        """
