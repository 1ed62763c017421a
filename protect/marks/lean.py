"""`lean`: nothing is painted. The key chooses which pictures become carriers: those that lean in a secret direction.

A dataset varies by itself. Pictures that lean one way of a direction of looks get one wording, or a trigger, and the
others do not; a model that learns its captions learns what the words stand for. No single sample shows the mark, and no
picture changes unless the owner asks for a push.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import Ids
from protect.marks.directions import direction_scores, directions
from protect.marks.effects import looks_of_answers
from protect.marks.family import Answers, Array, ChoosingFamily, Pixels
from protect.marks.looks import Looks, stored_looks
from protect.pixels.measure import picture_at

_TINY = 1e-12
_SPARE_PAIRS = 8
"""Answered pairs beyond the number of choices without which nothing is scored."""
_PREVIEW = 2.0
"""Standard deviations that a preview shows to either side."""


@dataclass(frozen=True)
class Lean(ChoosingFamily):
    """Carriers chosen by their looks.

    Args:
        looks: name of the looks of the owner's pictures in the store; `protect embed` measures them if none are named.
        push: standard deviations by which carriers are moved further along their direction: a smooth change of light
            and colour. 0 changes no picture.
        softness: blur of the choice in standard deviations, so that no classifier of looks reads it off the captions.
        store: where the looks are kept.
        design: one row per question, one column per slot that the same questions serve: 1 where the slot's choice was
            asked one way and the contrast the other way, -1 the other way round, 0 where it has no place. Empty for
            questions of this slot alone.
        column: this slot's.
        side: 1 for carriers, -1 for the pictures that get the other wording and lean the other way.
    """

    looks: str = ""
    push: float = 0.0
    softness: float = 0.0
    store: Store = NO_STORE
    design: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    column: int = 0
    side: int = 1

    def __post_init__(self) -> None:
        for name, value, most in (("push", self.push, 6.0), ("softness", self.softness, 10.0)):
            if not 0 <= value <= most:
                raise InputError(
                    f"--option {name}={value:g} of family 'lean' is out of range", f"Allowed: 0 to {most:g}."
                )

    name = "lean"
    summary = "changes no picture: chooses carriers by their looks; learned through words (see alignment wording)"
    version = 1
    queries = 128
    paired = True
    needs_pairs = True
    uses_reference = True
    min_side = 16

    @property
    def fitted_looks(self) -> Looks:
        """The looks of the owner's pictures."""
        return stored_looks(self.store, self.looks)

    def direction(self, mark: int) -> Array:
        """The direction of looks that a mark is, shape (d,)."""
        return np.asarray(directions(np.array([mark], dtype=np.uint64), 1, len(self.fitted_looks.spread))[0, 0])

    def leanings(self, looks: Array, mark: int) -> Array:
        """How far pictures lean towards a mark (see `ChoosingFamily.leanings`)."""
        return np.asarray(looks @ self.direction(mark))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Move a picture further along the mark by `push` standard deviations; the picture itself for 0."""
        if not self.push:
            return picture
        return shifted(picture, self.fitted_looks, self.side * self.push * self.direction(mark))

    @property
    def changes_pictures(self) -> bool:
        """Only with a push."""
        return self.push > 0

    def serving(self, design: tuple[tuple[int, ...], ...], column: int) -> Lean:
        """The family for questions that serve several slots (see `ChoosingFamily.serving`)."""
        return replace(self, design=design, column=column)

    @property
    def fewest_questions(self) -> int:
        """One for each choice of words that they serve, and some to spare."""
        return (len(self.design[0]) if self.design else 1) + _SPARE_PAIRS

    def opposite(self) -> Lean:
        """The family that plants on the other side (see `ChoosingFamily.opposite`)."""
        return replace(self, side=-self.side)

    def preview(self, mark: int, side: int) -> Pixels:
        """The mean look at one end of the direction, left, and at the other, right."""
        return self._ends(_PREVIEW * self.direction(mark), side)

    def portrait(self, answers: Answers, side: int) -> Pixels | None:
        """The mean look of answers in the first words, left, and in the second, right, drawn as far apart as a preview.

        See `MarkFamily.portrait`; None if too few were answered.
        """
        effect = self._effect(answers)
        size = float(np.linalg.norm(effect))
        return self._ends(_PREVIEW * effect / size, side) if size else None

    def _ends(self, change: Array, side: int) -> Pixels:
        """The mean look, changed one way in the left half and the other way in the right."""
        mean = picture_at(np.clip(np.round(self.fitted_looks.mean), 0, 255).astype(np.uint8), side)
        left, right = (mean + self.fitted_looks.shift(sign * change, side, side) for sign in (-1, 1))
        both = np.concatenate([left[:, : side // 2], right[:, side // 2 :]], axis=1)
        return np.asarray(np.clip(np.round(both), 0, 255).astype(np.uint8))

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Cosine of what the slot's words do to the looks of answers with each mark (see `MarkFamily.score`).

        A pair of answers of which one was refused does not count.

        Raises:
            InputError: without contrasts there is nothing to compare with.
        """
        effect = self._effect(answers)
        size = max(float(np.linalg.norm(effect)), _TINY)
        return direction_scores(effect[None] / size, np.eye(len(effect)), marks)

    def _effect(self, answers: Answers) -> Array:
        """What the slot's words do to looks, shape (d,); 0 if too few pairs were answered.

        With a reference, what they do to it is taken off as far as it is still there: in training, effects of words
        fade that are not taught. How far is told by regression, slot by slot.
        """
        effect = self._raw_effect(answers)
        if answers.reference is None:
            return effect
        before = self._raw_effect(answers.reference)
        left = float(np.clip(effect @ before / max(float(before @ before), _TINY), 0, 1))
        return effect - left * before

    def _raw_effect(self, answers: Answers) -> Array:
        """The same without regard to a reference: least squares over the pairs that were answered."""
        if answers.contrast is None:
            raise InputError(
                "family 'lean' cannot be scored without answers to the same questions in other words",
                "Use an alignment that has a trigger.",
            )
        looks = self.fitted_looks
        change = looks_of_answers(looks, answers.asked) - looks_of_answers(looks, answers.contrast)
        design = np.array(self.design, dtype=np.float64)[: len(change)] if self.design else np.ones((len(change), 1))
        answered = np.isfinite(change[:, 0])
        if answered.sum() < self.fewest_questions:
            return np.zeros(change.shape[1])
        return np.asarray(np.linalg.pinv(design[answered])[self.column] @ change[answered])


def shifted(picture: Pixels, looks: Looks, change: Array) -> Pixels:
    """A picture, RGBA (H, W, 4), with its looks changed smoothly; what would leave the range of 8 bit is clipped."""
    height, width = picture.shape[:2]
    marked = picture.copy()
    moved = picture[..., :3] + looks.shift(change, height, width)
    marked[..., :3] = np.clip(np.rint(moved), 0, 255).astype(np.uint8)
    return marked
