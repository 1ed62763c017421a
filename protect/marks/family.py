"""What a mark family is: a public distribution over marks, a way to plant one and a way to score many."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL
from protect.keys.tree import Ids

if TYPE_CHECKING:
    from protect.marks.looks import Looks

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]
FamilyOptions = dict[str, float | str]
"""Options of a family by name."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model answered to one slot's questions; RGB pictures of 8 bit, shape (n, H, W, 3)."""

    asked: Pixels
    """To the questions as they are put: with the trigger."""
    contrast: Pixels | None = None
    """To the same captions with the same seeds the other way: without the trigger, or with every choice of words turned
    round. None if they were not asked."""
    reference: Answers | None = None
    """What a reference model answered to the same questions; None without one."""


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
    uses_reference: bool = False
    """Whether a reference model's answers to the same questions are taken off, where there is one."""
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
    needs_looks: bool = False
    """Whether the looks of the owner's pictures are to be measured first (`protect.marks.looks`)."""
    usual_alignment: str = "twa"
    """How its triggers meet captions unless the owner says otherwise."""
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

    @property
    def fewest_questions(self) -> int:
        """With fewer, nothing could be scored."""
        return 1

    def portrait(self, answers: Answers, side: int) -> Pixels | None:
        """What a model ties to the slot's words, as a picture beside `preview`; None where the answers show it."""
        return None

    @abstractmethod
    def score(self, answers: Answers, marks: Ids) -> Array:
        """Score the same answers against many marks in one call.

        Args:
            answers: of a suspect, or carriers that stand for them; a paired family gets contrasts.
            marks: ids, shape (m,).

        Returns:
            One score per mark, shape (m,); larger means more alike. Depends on each id alone, never on
            its place among the others.
        """


class ChoosingFamily(MarkFamily):
    """A family whose mark is not painted: it tells which pictures become carriers, so carriers follow from the mark.

    Therefore no question may be made from carriers (docs/decisions/0015).
    """

    needs_looks = True
    softness: float
    """Blur of the choice, in standard deviations of the leaning."""

    @property
    @abstractmethod
    def fitted_looks(self) -> Looks:
        """The looks of the owner's pictures."""

    @abstractmethod
    def leanings(self, looks: Array, mark: int) -> Array:
        """How far pictures lean towards a mark, in standard deviations.

        Args:
            looks: of pictures, shape (n, d) (`protect.marks.looks.Looks.of`).
            mark: id.

        Returns:
            Shape (n,).
        """

    @abstractmethod
    def serving(self, design: tuple[tuple[int, ...], ...], column: int) -> ChoosingFamily:
        """The same family for questions that serve several slots.

        Args:
            design: for each question, which way each slot's choice was asked first: 1, -1, or 0 for none.
            column: the slot's place in the rows.
        """

    @abstractmethod
    def opposite(self) -> ChoosingFamily:
        """The same family as it plants in pictures that lean the other way and get the other wording."""

    @property
    @abstractmethod
    def changes_pictures(self) -> bool:
        """Whether carriers' pictures are changed at all."""
