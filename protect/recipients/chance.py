"""How likely a copy that has nothing to do with a recipient follows that recipient's marks as well as was seen.

What a copy shows is fixed first: the pulls of its words, or the bits of its pictures. If the copy does not depend on
the marks of recipient u (captions by lot, the dataset itself, somebody else's copy, or a mixture of others' copies),
then u's marks are independent draws, and so is how well the copy follows them: its law is known, whatever the copy
is. The numbers here are upper bounds of that law's tail, p_u, so P(p_u <= x) <= x for every x. A recipient is named
only if p_u <= alpha / N, with N all recipients that were ever issued: by the union bound a copy is given to anybody
whose marks it does not depend on with a chance of at most alpha. No part of this looks at how well real copies do.
Marks are taken for drawn by lot, as everywhere: they are outputs of a pseudorandom function of the secret key.
"""

from __future__ import annotations

import numpy as np
import scipy
from numpy.typing import NDArray

Array = NDArray[np.float64]
RATES = np.geomspace(1, 1e4, 200)
"""Rates of the Chernoff bound that are tried: each of them bounds the tail, and so does the least."""


def chance_of_cosines(total: float, slots: int, length: int) -> float:
    """Upper bound of the chance that cosines of independent random directions add up to `total` or more.

    Of a direction uniform on the sphere and any fixed one, E exp(r cos) = Γ(ν + 1) (2 / r)^ν I_ν(r), ν = d / 2 - 1.
    Chernoff (1952): P(S >= s) <= exp(-r s) (E exp(r cos))^K for every r > 0.

    Args:
        total: s, the sum of the cosines.
        slots: K, how many there are; not 0.
        length: d, numbers of a direction, at least 2.

    Returns:
        In (0, 1].

    >>> 1e-4 < chance_of_cosines(0.68, 1, 24) < 1e-2, chance_of_cosines(0.0, 3, 24)
    (True, 1.0)
    """
    order = length / 2 - 1
    # I_ν(r) = ive(ν, r) exp(r): as logarithms, so that large rates do not overflow.
    mean = (
        scipy.special.gammaln(order + 1) + order * np.log(2 / RATES) + np.log(scipy.special.ive(order, RATES)) + RATES
    )
    return float(np.exp(min(0.0, (slots * mean - RATES * total).min())))


def chance_of_bits(counted: NDArray[np.int64], bias: Array, agreed: int) -> float:
    """Chance that so many carriers or more show the bits of a recipient whose bits were drawn by the biases.

    The law of the sum of independent numbers, each one of two, is computed in full.

    Args:
        counted: carriers that show each bit of each slot, shape (slots, 2).
        bias: probability of bit 1 in each slot, shape (slots,).
        agreed: carriers that show the recipient's bits.

    Returns:
        In [0, 1].

    >>> chance_of_bits(np.array([[0, 3], [2, 0]]), np.array([0.5, 0.5]), 5)
    0.25
    """
    law = np.ones(1)
    for (zeros, ones), one in zip(counted.tolist(), bias.tolist(), strict=True):
        grown = np.zeros(len(law) + max(zeros, ones))
        grown[zeros : zeros + len(law)] += (1 - one) * law
        grown[ones : ones + len(law)] += one * law
        law = grown
    return float(min(1.0, law[agreed:].sum()))
