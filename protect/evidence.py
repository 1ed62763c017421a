"""The arithmetic of proof: ranks, e-values, how evidence grows over slots, and how much of it can be reached at all.

Exactness rests on one fact. If the suspect never saw the release, its outputs are independent of which
of the M + 1 exchangeable marks of a slot was planted, so the planted mark's rank is uniform. Nothing is
assumed about the suspect, its prompts or its sampler. See `docs/statistics.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import EvidenceError

Array = NDArray[np.float64]
LAMBDAS = (1.0, 2.0, 4.0)
"""How strongly an e-value counts on a high score of the planted mark; the running products are averaged over them."""


def rank_p_value(planted: float, decoys: Array) -> float:
    """Rank of the planted mark's score among its decoys.

    Args:
        planted: score of the planted mark.
        decoys: scores of M unpublished draws, shape (M,).

    Returns:
        (1 + #{decoys >= planted}) / (M + 1), in (0, 1]; ties count against the owner.

    Raises:
        EvidenceError: if any score is not finite or there are no decoys.

    >>> rank_p_value(3.0, np.array([1.0, 2.0, 3.0]))
    0.5
    """
    _check(planted, decoys)
    return float((1 + np.count_nonzero(decoys >= planted)) / (len(decoys) + 1))


def e_values(planted: float, decoys: Array) -> Array:
    """E-values of one slot, one for each λ in `LAMBDAS`.

    e(λ) = (M + 1) · exp(λ z₀) / Σ_j exp(λ z_j), with z the M + 1 scores standardised together. The sum is
    symmetric in the marks, so the expectation under the null is exactly 1 (a soft rank e-value).

    Args:
        planted: score of the planted mark.
        decoys: scores of M unpublished draws, shape (M,).

    Returns:
        Shape (3,), each at least 0 and at most M + 1; ones if all scores are equal.

    Raises:
        EvidenceError: if any score is not finite or there are no decoys.
    """
    _check(planted, decoys)
    scores = np.concatenate([[planted], decoys])
    spread = scores.std()
    if spread == 0 or np.ptp(scores) == 0:
        return np.ones(len(LAMBDAS))
    z = (scores - scores.mean()) / spread
    weights = np.exp(np.outer(LAMBDAS, z - z.max()))
    return np.asarray(len(scores) * weights[:, 0] / weights.sum(axis=1))


def _check(planted: float, decoys: Array) -> None:
    if len(decoys) == 0 or not (np.isfinite(planted) and np.all(np.isfinite(decoys))):
        raise EvidenceError(
            f"{len(decoys)} decoy scores, planted score {planted}: not all finite",
            "Check the suspect's outputs for NaN.",
        )


@dataclass(frozen=True, slots=True)
class SlotEvidence:
    """What one slot says about the suspect."""

    p_value: float
    """Exact rank p-value of the slot."""
    e_value: float
    """Mean over λ of the slot's own e-values."""
    by_lambda: tuple[float, ...]
    """E-value for each λ in `LAMBDAS`."""


def slot_evidence(planted: float, decoys: Array) -> SlotEvidence:
    """Both statements about one slot, from the same scores."""
    by_lambda = e_values(planted, decoys)
    return SlotEvidence(rank_p_value(planted, decoys), float(by_lambda.mean()), tuple(float(e) for e in by_lambda))


def running_evidence(slots: Sequence[SlotEvidence]) -> Array:
    """E_t after each slot: mean over λ of the product over slots so far; shape (len(slots),).

    Under the null with fresh decoys per slot this is a test martingale: it ever exceeds 1/α with probability
    at most α (Ville), so one may stop whenever one likes.
    """
    if not slots:
        return np.empty(0)
    return np.asarray(np.cumprod([slot.by_lambda for slot in slots], axis=0).mean(axis=1))


def overall_p_value(running: Array) -> float:
    """min(1, 1 / max_t E_t): valid at any stopping time. 1 before the first slot."""
    return float(min(1.0, 1.0 / running.max())) if len(running) and running.max() > 0 else 1.0


def discoveries(e_values: Array, level: float) -> NDArray[np.bool_]:
    """Which of many hypotheses are rejected by e-BH (Wang and Ramdas 2022, arXiv 2009.02824).

    The k largest are, for the largest k such that all of them are at least m / (k level). On average at most `level`
    of what is rejected is so falsely, however the e-values depend on each other.

    Args:
        e_values: one of each hypothesis, of mean 1 at most where it is true; shape (m,). A running maximum is none.
        level: false discovery rate.

    Returns:
        Shape (m,).

    >>> discoveries(np.array([300.0, 1.0, 160.0, 60.0]), 0.02).tolist()
    [True, False, True, False]
    """
    order = np.argsort(-e_values, kind="stable")
    needed = len(e_values) / (np.arange(1, len(e_values) + 1) * level)
    enough = np.flatnonzero(e_values[order] >= needed)
    found = np.zeros(len(e_values), dtype=bool)
    found[order[: enough[-1] + 1 if len(enough) else 0]] = True
    return found


def reachable(decoys: int, distinct: Sequence[int | None], threshold: float) -> bool:
    """Whether the strongest outcome that can be hoped for, in all slots, would reach the threshold.

    In each slot the planted mark could beat M equal decoys: z₀ = √M, the others −1/√M. In a finite family some decoys
    are the planted mark itself and tie with it; as many as expected are counted.

    Args:
        decoys: M, per slot.
        distinct: of each slot that is asked, how many marks its family has; None for more than can be drawn.
        threshold: evidence required.
    """
    best = np.ones(len(LAMBDAS))
    for marks in distinct:
        beaten = min(decoys, marks - 1) if marks else decoys
        z_gap = np.sqrt(beaten) + 1 / np.sqrt(beaten)
        best *= [(beaten + 1) / (1 + beaten * np.exp(-strength * z_gap)) for strength in LAMBDAS]
    return bool(np.mean(best) >= threshold)
