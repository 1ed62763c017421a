"""What families share whose marks are patterns of signed directions, added to a picture up to a PSNR."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from protect.keys.tree import Ids
from protect.marks.additive import Pattern, add_pattern, check_psnr, shown
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.sign_vectors import rank_scores


class SignedPattern(MarkFamily):
    """A family whose mark is a vector of signs: of the directions that its pattern is made of, and of the features."""

    psnr: float
    """Quality of carriers in decibels."""
    queries = 64
    paired = True
    min_side = 24

    def __post_init__(self) -> None:
        check_psnr(self.psnr)

    @abstractmethod
    def pattern(self, mark: int, height: int, width: int) -> Pattern:
        """The pattern of a mark: RGB offsets of root mean square 1, shape (H, W, 3); an array of its own each time."""

    @abstractmethod
    def features(self, outputs: Pixels, untriggered: Pixels | None) -> Array:
        """How far outputs, less the untriggered ones, go along each direction, shape (n, d)."""

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Add the pattern where the picture is not transparent, as strongly as the PSNR allows."""
        return add_pattern(picture, self.pattern(mark, *picture.shape[:2]), self.psnr)

    def preview(self, mark: int, side: int) -> Pixels:
        """The pattern on grey, amplified."""
        return shown(self.pattern(mark, side, side))

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Mean cosine of the paired differences with each mark's signs (see `MarkFamily.score`)."""
        return rank_scores(self.features(answers.asked, answers.contrast), marks)
