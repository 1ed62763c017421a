"""Naming recipients by a tracing code (`protect.keys.code`): exact e-values of bits, whatever the answers are.

In slot k the answers point to one of two marks, more or less. Let q be the share of trust in mark 1, a function of the
answers and the two marks; q = t where they say nothing. An innocent recipient's bit x is 1 with probability t, given
the answers, so for any soft scores w

    e_k = exp(w(x)) / [t exp(w(1)) + (1 - t) exp(w(0))]

has expectation 1, whoever made the model out of which copies, and the products over slots are a test martingale. The
scores are those of a bet: whoever is one of c sources carries the bit that the answers show a little more often than
chance, w(x) = log(1 + (Q(x)/P(x) - 1) / c), with Q = q, 1 - q and P = t, 1 - t. Then the divisor is 1. For a mixture of
c copies this is the likelihood ratio (the interleaving decoder of Oosterwijk, Škorić and Doumen, IH&MMSec 2013, with q
in place of a hard symbol); the products for several c run side by side, and their mean counts.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from protect.keys.code import Bits
from protect.marks.family import Array
from protect.release.tracing import COALITIONS, UNSURE


def trust(scores: Array, decoys: Array, bias: float) -> float:
    """Trust q that the answers show mark 1 of a slot: the prior t, moved by how much better it scores than mark 0.

    Args:
        scores: of marks 0 and 1, shape (2,).
        decoys: scores of marks that nobody's copy carries, shape (m,): their spread is the unit.
        bias: t.

    Returns:
        In (0, 1); t where all decoys score alike.
    """
    spread = decoys.std()
    if spread == 0 or np.ptp(decoys) == 0:
        return bias
    lead = float(scores[1] - scores[0]) / spread
    return float(np.clip(expit(logit(bias) + lead), UNSURE, 1 - UNSURE))


def bets(bias: float, trusted: float) -> Array:
    """Soft scores w of both bits for each number of sources, shape (l, 2).

    Args:
        bias: t, in (0, 1).
        trusted: q; w is 0 for q = t.
    """
    gains = np.array([(1 - trusted) / (1 - bias), trusted / bias]) - 1
    return np.asarray(np.log1p(gains / np.array(COALITIONS)[:, None]))


def log_e_values(bits: Bits, bias: float, soft: Array) -> Array:
    """Logarithms of the e-values of bits, for any soft scores.

    Args:
        bits: one for each recipient, shape (n,).
        bias: t.
        soft: w(0) and w(1), shape (l, 2).

    Returns:
        Shape (l, n).
    """
    divisor = np.logaddexp(np.log1p(-bias) + soft[:, 0], np.log(bias) + soft[:, 1])
    return np.asarray((soft - divisor[:, None])[:, bits])
