"""Our passive statement: is the suspect better on this generator's pictures than its likes that never saw them?

H0 is innocence. The statistic is a contrast: accuracy on pictures of the generator less accuracy on matched controls
(same classes and prompts, from other generators or cameras). Its rank among references that were trained on anything
but the generator is a conformal p-value, *if* an innocent suspect is exchangeable with them. The owner cannot enforce
that, so the number is called `panel_p` and is never exact.
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
    "panel_p holds only if an innocent suspect is exchangeable with the reference classifiers: same task, like "
    "recipes, like data. A reference's own source is left out of its contrast; the suspect's is not known and stays "
    "in, to its favour if it is among the controls. It is not exact."
)
CHANCE_ERRORS = 4.0
"""A suspect whose accuracy is not this many standard errors above chance tells nothing."""


@dataclass(frozen=True, slots=True)
class PanelVerdict:
    """Rank of the suspect's contrast among the references'."""

    contrast: float
    """Accuracy on the generator's pictures less mean accuracy on the controls."""
    references: tuple[float, ...]
    panel_p: float
    """(1 + #{references with as large a contrast}) / (references + 1)."""
    accuracy: float
    """On the generator's pictures."""
    control_accuracy: tuple[float, ...]
    """On each control."""

    def accused(self, alpha: float) -> bool:
        """Whether panel_p is at most alpha."""
        return self.panel_p <= alpha


def contrast(own: NDArray[np.bool_], controls: Sequence[NDArray[np.bool_]]) -> float:
    """Share right on the generator's pictures less the mean share right on the controls, in [-1, 1]."""
    return float(own.mean() - np.mean([control.mean() for control in controls]))


def check_references(count: int, alpha: float) -> None:
    """Refuse a panel that is too small for alpha.

    Raises:
        InputError: with the smallest level that can be reached.
    """
    if 1 / (count + 1) > alpha:
        raise InputError(
            f"{count} references cannot give panel_p <= {alpha:g}",
            f"Smallest reachable: {1 / (count + 1):.3g}. Train {int(np.ceil(1 / alpha)) - 1} or more.",
        )


def panel(
    own: NDArray[np.bool_], controls: Sequence[NDArray[np.bool_]], references: Sequence[float], alpha: float
) -> PanelVerdict:
    """Rank a suspect.

    Args:
        own: whether the suspect is right on each picture of the generator, shape (n,).
        controls: the same for each control.
        references: contrasts of the reference classifiers on the very same pictures.
        alpha: level that is asked.

    Raises:
        InputError: if the references are too few for alpha; says the smallest that can be reached.
    """
    check_references(len(references), alpha)
    found = contrast(own, controls)
    return PanelVerdict(
        found,
        tuple(references),
        rank_p_value(found, np.asarray(references, dtype=np.float64)),
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
