"""EnTruth's rule (arXiv 2406.13933): likeness to the template above a threshold set on a few clean models."""

from __future__ import annotations

from collections.abc import Sequence

from detect.baselines.rule import BaselineVerdict
from protect.errors import InputError
from protect.marks.family import Array


def entruth_threshold(clean: Sequence[Array]) -> float:
    """The highest score of any output of the clean models.

    Args:
        clean: scores of each clean model's outputs.

    Raises:
        InputError: if there are none.
    """
    if not any(len(scores) for scores in clean):
        raise InputError("a threshold from no clean outputs", "Give outputs of at least one clean model.")
    return max(float(scores.max()) for scores in clean if len(scores))


def entruth(suspect: Array, threshold: float, queries: int | None = None) -> BaselineVerdict:
    """Accused if any of the first `queries` outputs scores above the threshold (one-query: 1; multi-query: all)."""
    best = float(suspect[:queries].max())
    return BaselineVerdict(
        "entruth",
        best > threshold,
        best,
        threshold,
        "the threshold is the luck of a few clean models, and each further query is a further chance",
    )
