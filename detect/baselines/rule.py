"""What a rule answers, and the per-output scores that two of them start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.marks.family import Answers, Array, MarkFamily, Pixels


@dataclass(frozen=True, slots=True)
class BaselineVerdict:
    """The answer of a named rule."""

    rule: str
    accused: bool
    statistic: float
    threshold: float
    flaw: str
    """Why this is not our verdict, in one line."""


def scores_of_outputs(family: MarkFamily, outputs: Pixels, untriggered: Pixels | None, mark: int) -> Array:
    """Score of one mark on each output alone, shape (n,).

    Args:
        family: the law of the mark.
        outputs: RGB, shape (n, H, W, 3).
        untriggered: for a paired family, the answers to the same questions without the trigger.
        mark: its id.
    """
    ids = np.array([mark], dtype=np.uint64)
    rows = [slice(i, i + 1) for i in range(len(outputs))]
    return np.array(
        [family.score(Answers(outputs[r], None if untriggered is None else untriggered[r]), ids)[0] for r in rows]
    )
