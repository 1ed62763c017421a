"""The bets of the e-value, and whether they could ever suffice: an owner must know before the release."""

from __future__ import annotations

import numpy as np

LAMBDAS = (1.0, 2.0, 4.0)
"""Bets of the e-value; their running products are averaged."""


def reachable(decoys: int, slots: int, threshold: float, distinct: int | None = None) -> bool:
    """Whether the strongest outcome that can be hoped for, in all slots, would reach the threshold.

    In each slot the planted mark could beat M equal decoys: z₀ = √M, the others −1/√M. In a finite family some decoys
    are the planted mark itself and tie with it; as many as expected are counted.

    Args:
        decoys: M, per slot.
        slots: slots that are asked.
        threshold: evidence required.
        distinct: marks in the family; None for more than can be drawn.
    """
    beaten = min(decoys, distinct - 1) if distinct else decoys
    z_gap = np.sqrt(beaten) + 1 / np.sqrt(beaten)
    best = np.array([(beaten + 1) / (1 + beaten * np.exp(-bet * z_gap)) for bet in LAMBDAS])
    return bool(np.mean(best**slots) >= threshold)
