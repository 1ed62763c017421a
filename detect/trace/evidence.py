"""The arithmetic of naming recipients: e-values of many marks against one set of decoys, and how they add up.

**Why a name is right.** Recipient u's mark in slot k is one draw by the key of (secret, coin, u, k); the slot's decoys
are further draws of the same family by the key of (secret, coin, k), which no copy carries. Take a model that learned
nothing from u's copy. Its answers may depend on other recipients' copies, and on anything else, but not on u's mark:
given the answers, u's mark and the M decoys of each slot are exchangeable, and independent from slot to slot. So

    e_k(λ) = (M + 1) exp(λ s_0 / σ) / Σ_j exp(λ s_j / σ),        j = 0 … M, s_0 the score of u's mark,

has expectation 1 given all earlier slots (the sum is symmetric in the M + 1 marks; σ comes from still other decoys, so
it is a constant here), and so has 1 - b + b e_k for a fixed share b: what is kept back saves the evidence of slots that
were learned from slots that were not, or that come from another copy. The running mean over λ of the products,
E_u, is a test martingale, and P(E_u ever reaches N/α) is at most α/N (Ville). Any of at most N innocent recipients is
named with probability at most α (Boole), however their e-values hang together: one set of decoys serves all of them,
and one set of answers.

**Why σ is measured apart.** `protect.evidence.e_values` standardises the M + 1 scores of a slot together, so every
recipient would have a scale, and a sum over all decoys, of its own. With σ from decoys that are not compared, one sum
serves all: a million recipients cost one matrix product. The two agree but for the noise of σ.

**Some copy was used.** The mean of all E_u is a test martingale too, if the model learned from no copy at all. Where it
reaches 1/α, a copy was used, whoever's it was. A named recipient implies it: E_u ≥ N/α gives a mean of at least 1/α.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from protect.errors import EvidenceError
from protect.evidence import LAMBDAS, Array
from protect.release.tracing import hedged

DECOYS = 99_999
"""Decoys of a slot, at least: e-values of a slot reach no further than their number."""
COMPARED = 0.9
"""Share of the decoys that are compared; the others tell the scale."""
_LARGEST = 1e300
"""E-values are shown up to here."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What any mark's score in one slot is compared with."""

    rates: Array
    """λ/σ for each λ; zeros where the decoys that tell the scale all score alike. Shape (l,)."""
    log_sums: Array
    """Logarithm of Σ exp(λ s / σ) over the decoys that are compared; shape (l,)."""
    compared: int
    """How many these are."""

    def log_e_values(self, scores: Array) -> Array:
        """Logarithms of marks' e-values for each λ.

        Args:
            scores: one for each mark, shape (n,).

        Returns:
            Shape (l, n), each with a part of the evidence kept back (`hedged`); zeros where the decoys say nothing.

        Raises:
            EvidenceError: if a score is not finite.
        """
        _check_finite(scores)
        if not self.rates.any():
            return np.zeros((len(self.rates), len(scores)))
        raised = self.rates[:, None] * scores
        return hedged(np.log(self.compared + 1) + raised - np.logaddexp(raised, self.log_sums[:, None]))


def yardstick(decoys: Array, lambdas: tuple[float, ...] = LAMBDAS) -> Yardstick:
    """What the decoys of a slot make of any score.

    Args:
        decoys: their scores, shape (m,), in the order in which the key draws them.
        lambdas: how strongly e-values count on a high score.

    Raises:
        EvidenceError: if there are too few, or one is not finite.
    """
    _check_finite(decoys)
    apart = len(decoys) - int(COMPARED * len(decoys))
    if apart < 2:
        raise EvidenceError(f"{len(decoys)} decoys are too few to name recipients", "Use 20 or more.")
    scaling, compared = decoys[:apart], decoys[apart:]
    rates = np.array(lambdas) / scaling.std() if np.ptp(scaling) > 0 else np.zeros(len(lambdas))
    return Yardstick(rates, _log_sum((rates[:, None] * compared).T), len(compared))


def _check_finite(scores: Array) -> None:
    if not np.all(np.isfinite(scores)):
        raise EvidenceError(
            f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite",
            "Check the suspect's outputs for NaN.",
        )


BLOCK = 1 << 16
"""Recipients that are reckoned with at a time."""
LogEValues = Callable[[slice], Array]
"""Logarithms of the e-values of some recipients in one slot, by place: shape (l, n)."""


class Suspicion:
    """Evidence against every recipient, slot by slot. Holds four numbers for each of them.

    Args:
        recipients: N.
        strengths: l, how many products run side by side; their mean is the evidence.
    """

    def __init__(self, recipients: int, strengths: int = len(LAMBDAS)) -> None:
        self._log_products = np.zeros((strengths, recipients))
        self.peaks = np.zeros(recipients)
        """Logarithm of the largest running E_u so far, shape (N,); 0 at first, where E is 1."""
        self.mean = 0.0
        """Logarithm of the mean of all E_u."""
        self.some = 0.0
        """Logarithm of its largest value so far: evidence that some copy was used."""

    def add(self, slot: LogEValues | None) -> None:
        """Take in a slot; None for one that says nothing of anybody, whose e-values are 1."""
        if slot is None:
            return
        recipients, means = len(self.peaks), []
        for start in range(0, recipients, BLOCK):
            block = slice(start, min(start + BLOCK, recipients))
            self._log_products[:, block] += slot(block)
            running = log_mean(self._log_products[:, block])
            self.peaks[block] = np.maximum(self.peaks[block], running)
            means.append(_log_sum(running))
        self.mean = float(np.logaddexp.reduce(means) - np.log(recipients))
        self.some = max(self.some, self.mean)


def _log_sum(logs: Array) -> Array:
    """Logarithm of the sum over the first axis of what has these finite logarithms."""
    most = logs.max(axis=0)
    return np.asarray(most + np.log(np.exp(logs - most).sum(axis=0)))


def log_mean(logs: Array) -> Array:
    """Logarithm of the mean over the first axis of what has these logarithms."""
    return np.asarray(_log_sum(logs) - np.log(len(logs)))


def family_wise_p(log_e: float, recipients: int) -> float:
    """min(1, N / E): the chance, at most, that evidence so large ever arises against any innocent recipient.

    >>> family_wise_p(0.0, 10)
    1.0
    """
    return float(np.exp(min(0.0, np.log(recipients) - log_e)))


def shown(log_e: float) -> float:
    """An e-value from its logarithm, no larger than JSON can hold."""
    return float(np.exp(min(log_e, np.log(_LARGEST))))
