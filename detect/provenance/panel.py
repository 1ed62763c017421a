"""Our passive statement: is the suspect better on this generator's pictures than its likes that never saw them?

H0 is innocence. The statistic is a contrast: accuracy on pictures of the generator less accuracy on matched controls
(same classes and prompts, from other generators or cameras). References fall into groups, one for each control that
they learned from. A group and the suspect are compared by one statistic: that group's control is left out of all
their contrasts. The rank within a group is a conformal p-value *if* an innocent suspect is exchangeable with that
group. Nobody knows with which, so the largest of these p-values counts. The owner cannot enforce it, so the number is
called `panel_p` and is never exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detect.suspects.classifiers.classifier import Answers
from protect.errors import InputError
from protect.evidence import rank_p_value

ASSUMPTION = (
    "panel_p holds only if an innocent suspect is exchangeable with one group of reference classifiers: same task, "
    "like recipes, like data. Each group learned from one control, which is left out of its contrasts and of the "
    "suspect's beside it; the largest p of all groups counts. It is not exact."
)
CHANCE_ERRORS = 4.0
"""A suspect whose accuracy is not this many standard errors above chance tells nothing."""


@dataclass(frozen=True, slots=True)
class PanelVerdict:
    """Ranks of the suspect's contrasts among the references', group by group."""

    contrasts: tuple[float, ...]
    """Accuracy on the generator's pictures less mean accuracy on the controls, each control left out in turn."""
    references: tuple[tuple[float, ...], ...]
    """The same of the references, by the control that they learned from, which is left out."""
    p_values: tuple[float, ...]
    """(1 + #{references of a group with as large a contrast}) / (their number + 1)."""
    accuracy: float
    """On the generator's pictures."""
    control_accuracy: tuple[float, ...]
    """On each control."""

    @property
    def panel_p(self) -> float:
        """The largest p of all groups."""
        return max(self.p_values)

    @property
    def group(self) -> int:
        """Place of the control whose group is nearest to an innocent explanation."""
        return self.p_values.index(self.panel_p)

    def accused(self, alpha: float) -> bool:
        """Whether panel_p is at most alpha."""
        return self.panel_p <= alpha


def contrast(own: NDArray[np.bool_], controls: Sequence[NDArray[np.bool_]]) -> float:
    """Share right on the generator's pictures less the mean share right on the controls, in [-1, 1]."""
    return float(own.mean() - np.mean([control.mean() for control in controls]))


def contrasts_without(own: NDArray[np.bool_], controls: Sequence[NDArray[np.bool_]]) -> list[float]:
    """The contrast with each control left out in turn.

    Args:
        own: whether a classifier is right on each picture of the generator, shape (n,).
        controls: the same for each control, two or more.
    """
    places = range(len(controls))
    return [contrast(own, [controls[i] for i in places if i != out]) for out in places]


def check_references(count: int, alpha: float) -> None:
    """Refuse groups that are too small for alpha.

    Raises:
        InputError: with the smallest level that can be reached.
    """
    if 1 / (count + 1) > alpha:
        raise InputError(
            f"{count} references for each control cannot give panel_p <= {alpha:g}",
            f"Smallest reachable: {1 / (count + 1):.3g}. Train {int(np.ceil(1 / alpha)) - 1} or more.",
        )


def panel(
    own: NDArray[np.bool_],
    controls: Sequence[NDArray[np.bool_]],
    references: Sequence[Sequence[float]],
    alpha: float,
) -> PanelVerdict:
    """Rank a suspect.

    Args:
        own: whether the suspect is right on each picture of the generator, shape (n,).
        controls: the same for each control.
        references: for each control, contrasts of the classifiers that learned from it, without it, on the very same
            pictures.
        alpha: level that is asked.

    Raises:
        InputError: if the references are too few for alpha; says the smallest that can be reached.
    """
    check_references(min(map(len, references)), alpha)
    found = contrasts_without(own, controls)
    ranks = zip(found, references, strict=True)
    return PanelVerdict(
        tuple(found),
        tuple(map(tuple, references)),
        tuple(rank_p_value(mine, np.asarray(group, dtype=np.float64)) for mine, group in ranks),
        float(own.mean()),
        tuple(float(control.mean()) for control in controls),
    )


def trouble(answers: Answers, truth: NDArray[np.intp], classes: int) -> str:
    """Why a suspect's answers cannot be judged; empty if they can.

    Args:
        answers: to all pictures, controls too.
        truth: their classes, shape (n,).
        classes: number of classes.
    """
    if len(np.unique(answers.labels)) == 1:
        return f"it answers class {answers.labels[0]} to everything"
    right = float((answers.labels == truth).mean())
    chance = 1 / classes
    wanted = chance + CHANCE_ERRORS * float(np.sqrt(chance * (1 - chance) / len(truth)))
    if right >= wanted:
        return ""
    for shift in (-1, 1):
        moved = float((answers.labels + shift == truth).mean())
        if moved > max(2 * right, wanted):
            return f"its labels look shifted by {-shift:+d} (right on {right:.0%}, {moved:.0%} after shifting)"
    return (
        f"it is right on {right:.0%} of {len(truth)} pictures, no better than chance; other classes or normalisation?"
    )
