"""How many slots it takes to name who leaked: one recipient of N, or one of several who put their copies together.

What a model's answers show of a slot is taken for a direction: what it was taught, as large as was measured on models
that had learned one copy, and noise in all directions alike. Of c copies that were mixed each teaches one part in c of
its own; if every slot comes from one of them, each teaches its own whole in one slot of c. The smaller power of both is
told. All slots share the directions in which pictures vary, so each of many teaches less, and more slots do not always
help. A rule for planning, not evidence, like `protect.release.power`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from itertools import count

import numpy as np
import scipy

from protect.evidence import LAMBDAS, Array
from protect.keys.code import arcsine_bias, most_recipients
from protect.release.power import WANTED, Run

BET = 0.7
"""Share of the evidence so far that each slot can multiply; the rest is kept back for slots that show another copy."""
COALITIONS = (1.0, 2.0, 3.0, 5.0, 8.0)
"""Numbers of sources that the evidence of a tracing code bets on, one product for each."""
UNSURE = 1e-3
"""Trust in either mark of a slot that is always left, however clear the answers are."""
MOST_BITS = 4096
"""Slots of a tracing code that are tried."""
TRIED: tuple[int, ...] = (*range(1, 13), 14, 16, 18, 20, 24, 28, 32, 40)
"""Numbers of slots."""
_TRIALS = 200
_SEED = 1
_ALONE = 2 * math.sqrt(2 / math.pi)
"""By how many standard deviations the two halves of one slot differ, if there is no other slot."""
_ALIKE = 2.0
"""Runs within such a factor of sightings are taken together."""


def likeness_of(p_value: Array, length: int) -> Array:
    """The cosine that one direction in `p_value` has with a mark by chance; at least 0, same shape.

    Of two directions of d numbers, one uniform on the sphere, the cosine is ρ or more with probability
    I(1 - ρ²; (d - 1) / 2, 1/2) / 2.

    >>> likeness_of(np.array([0.5, 1e-4]), 24).round(2).tolist()
    [0.0, 0.68]
    """
    return np.asarray(np.sqrt(1 - scipy.special.betaincinv((length - 1) / 2, 0.5, np.minimum(2 * p_value, 1))))


def learned_alike(runs: Sequence[Run], sightings: float) -> tuple[Run, ...]:
    """The runs that tell what is learned after so many sightings: those nearest below, and half as many."""
    known = [run for run in runs if run.p_values and run.sightings <= sightings]
    most = max((run.sightings for run in known), default=0.0)
    return tuple(run for run in known if run.sightings >= most / _ALIKE)


def slots_needed(
    runs: Sequence[Run], recipients: int, colluders: int, alpha: float, length: int, power: float = WANTED
) -> int | None:
    """Fewest slots with which somebody who leaked is named with that chance; None if none that is tried is enough.

    Args:
        runs: of models that had learned one copy, with their slots' p-values.
        recipients: N, all that were ever issued.
        colluders: how many put their copies together; 1 for a single leak.
        alpha: level, for all recipients together.
        length: numbers of a mark's direction.
        power: wanted chance.
    """
    known = likeness_of(np.array([p for run in runs for p in run.p_values]), length)
    for slots in TRIED:
        if all(
            _chance(known, slots, recipients, colluders, alpha, length, whole=whole) >= power
            for whole in (False, True)[: min(2, colluders)]
        ):
            return slots
    return None


def _chance(
    known: Array, slots: int, recipients: int, colluders: int, alpha: float, length: int, *, whole: bool
) -> float:
    """Chance that one of the colluders is named.

    Args:
        known: likenesses that were measured, any number.
        slots: K.
        recipients: N.
        colluders: c.
        alpha: level.
        length: d.
        whole: whether each slot comes from one copy as a whole; else every sample comes from one.
    """
    rng = np.random.default_rng(_SEED)
    marks = rng.normal(size=(_TRIALS, colluders, slots, length))
    marks /= np.linalg.norm(marks, axis=3, keepdims=True)
    likeness = rng.choice(known, (_TRIALS, slots))
    size = likeness * np.sqrt(length / (1 - likeness**2)) / _ALONE
    used = marks
    if whole:
        owner = rng.permuted(np.tile(np.arange(slots) % colluders, (_TRIALS, 1)), axis=1)
        used = np.take_along_axis(marks, owner[:, None, :, None], axis=1)
    shown = size[..., None] * _lesson(used) + rng.normal(size=(_TRIALS, slots, length))
    cosine = np.einsum("tckd,tkd->tck", marks, shown) / np.linalg.norm(shown, axis=2)[:, None]
    logs = np.stack([_log_e_value(cosine, strength, length) for strength in LAMBDAS])
    running = np.logaddexp.reduce(np.cumsum(logs, axis=3)) - math.log(len(LAMBDAS))
    return float((running.max(axis=(1, 2)) >= math.log(recipients / alpha)).mean())


def _lesson(marks: Array) -> Array:
    """What copies teach that are mixed sample by sample: by how much looks differ with the words of each slot.

    Looks are taken for normal. A slot's words follow the sign of the leaning, so two slots hang together as much as
    their marks are alike (2/π arcsin of the cosine), and what several slots could tell is shared among them.

    Args:
        marks: unit vectors, shape (t, c, K, d).

    Returns:
        In standard deviations of looks, shape (t, K, d).
    """
    together = np.arcsin(np.clip(marks @ marks.swapaxes(2, 3), -1, 1)).mean(axis=1) * 2 / math.pi
    slots = np.arange(marks.shape[2])
    together[:, slots, slots] = 1
    return np.asarray(np.linalg.solve(together, _ALONE * marks.mean(axis=1)))


def hedged(log_e: Array) -> Array:
    """Logarithm of 1 - b + b e, for the share b = `BET` and an e-value that is given as a logarithm; same shape."""
    return np.asarray(np.logaddexp(math.log(1 - BET), math.log(BET) + log_e))


def _log_e_value(cosine: Array, strength: float, length: int) -> Array:
    """E-value of a mark at that cosine, against any number of decoys; logarithm, same shape."""
    rate, order = strength * math.sqrt(length), length / 2 - 1
    mean = (
        scipy.special.gammaln(order + 1) + order * math.log(2 / rate) + math.log(scipy.special.ive(order, rate)) + rate
    )
    return hedged(rate * cosine - mean)


@cache
def code_slots_needed(recipients: int, colluders: int, alpha: float, power: float = WANTED) -> int | None:
    """Fewest slots of a tracing code (`protect.keys.code`) if every slot's answers show one of the copies clearly.

    None if `MOST_BITS` are too few. Never fewer than tell so many recipients apart (`most_recipients`).
    """
    rng = np.random.default_rng(_SEED)
    trials = _TRIALS // 2
    bias = arcsine_bias(rng.random((trials, 1, MOST_BITS)))
    bits = rng.random((trials, colluders, MOST_BITS)) < bias
    shown = np.take_along_axis(bits, rng.integers(0, colluders, (trials, 1, MOST_BITS)), axis=1)
    gain = np.where(bits == shown, (1 - UNSURE) / np.where(shown, bias, 1 - bias), UNSURE) - 1
    running = np.full(gain.shape, -np.inf)
    for sources in COALITIONS:
        running = np.logaddexp(running, np.cumsum(np.log1p(gain / sources), axis=2))
    found = running - math.log(len(COALITIONS)) >= math.log(recipients / alpha)
    enough = np.flatnonzero(np.maximum.accumulate(found, axis=2).any(axis=1).mean(axis=0) >= power)
    apart = next(slots for slots in count(1) if most_recipients(slots) >= recipients)
    return max(int(enough[0]) + 1, apart) if len(enough) else None
