"""The law of power: how often is a mark found after so many sightings, as far as measured runs bear such a law?

A logistic curve in the logarithm of the sightings (carriers per slot times passes over the dataset; of slots that are
judged together, all sightings), fitted to runs that were found or not, under a weak prior. Whether runs bear it is
tested by leaving out all runs of one key at a time: unless the curve makes what happened to them three times as likely
as the bare share of found ones does, that share is told in its place, within what was tried and nowhere else. A rule
for planning, not evidence: other bases, learning rates and ranks shift it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy
from numpy.typing import NDArray

from protect.errors import InputError
from protect.release.power import WANTED, Run

Array = NDArray[np.float64]
INTERVAL = 0.9
"""Credibility of the intervals."""
BORNE = math.log(3)
"""What a curve must gain on the bare share."""
_SLOPE, _SLOPE_SPREAD = math.log(4), 0.7
_GRID = np.linspace(-4, 4, 121)
_ALIKE = 0.5
"""Assumed correlation of runs of one model or one key; it weighs them down by their design effect, 1 + .5 (n - 1)."""


@dataclass(frozen=True, slots=True)
class Variable:
    """Something that might tell found runs from lost ones, with the curve's weak prior in it."""

    name: str
    read: Callable[[Run], float | None]
    half: float
    """At which about every other run is found."""
    spread: float
    """Of its logarithm."""


SIGHTINGS = Variable("sightings", lambda run: run.sightings * run.slots, 300, 1.5)
SLOTS = Variable("number of slots", lambda run: run.slots, 4, 0.5)
PASSES = Variable("passes", lambda run: run.passes, 4, 1.5)
LEARNED = Variable("how far captions were learned", lambda run: run.captions_learned, 0.1, 1.0)
VARIABLES = (SIGHTINGS, SLOTS, PASSES, LEARNED)


@dataclass(frozen=True, slots=True)
class Power:
    """Chance that a slot is found, with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Tells:
    """Whether a variable tells found runs from lost ones."""

    variable: str
    models: int
    """With a value of it."""
    keys: int
    gain: float
    """Logarithm of how much likelier the curve makes what happened to keys that are left out than the bare share
    does, summed over keys; each run is weighed by its design effect."""

    @property
    def borne(self) -> bool:
        """Whether runs bear a law in it."""
        return self.gain >= BORNE


@dataclass(frozen=True)
class Law:
    """What runs leave possible."""

    runs: tuple[Run, ...]

    @cached_property
    def borne(self) -> bool:
        """Whether sightings tell found from lost; where all runs ended alike, nothing speaks against the curve."""
        return len({run.found for run in self.runs}) < 2 or tells(self.runs, SIGHTINGS).borne

    @cached_property
    def _curve(self) -> Curve:
        weighed = zip(self.runs, weights_of(self.runs), strict=True)
        return Curve.of(np.stack([_evidence(_value(SIGHTINGS, r), r, w, SIGHTINGS) for r, w in weighed]), SIGHTINGS)

    @property
    def tried(self) -> tuple[float, float]:
        """Fewest and most sightings of any run, those of all slots that were judged together."""
        counts = [_value(SIGHTINGS, run) for run in self.runs]
        return min(counts), max(counts)

    def power(self, sightings: float) -> Power | None:
        """Chance that a slot, or all that are judged together, is found after so many sightings of it, or of all.

        None outside what was tried; but a curve that the runs bear holds its last value above.
        """
        low, high = self.tried
        if sightings < low or (sightings > high and not self.borne):
            return None
        return self._curve.power(min(sightings, high)) if self.borne else share(self.runs)

    def at_few(self, sightings: float) -> Power:
        """What the curve alone says of fewer sightings than were tried: no promise, but enough to warn of none."""
        return self._curve.power(sightings)

    def sightings(self, power: float = WANTED) -> float | None:
        """Fewest sightings within what was tried at which a slot is found with that chance; None if there are none."""
        low, high = self.tried
        for sightings in np.geomspace(max(low, 1.0), max(high, 1.0), 200):
            found = self.power(min(max(float(sightings), low), high))
            if found is not None and found.mean >= power:
                return float(sightings)
        return None


def fit(runs: Sequence[Run]) -> Law:
    """The law that runs leave possible. Runs of one model or key weigh less than as many of several.

    Raises:
        InputError: if there are no runs.
    """
    if not runs:
        raise InputError("no measured runs of this kind", "Rehearse it (detect rehearse) and give --rehearsal FOLDER.")
    return Law(tuple(runs))


def share(runs: Sequence[Run]) -> Power:
    """The share of runs that were found (Jeffreys' prior), as if the rest made no difference."""
    weighed = list(zip(runs, weights_of(runs), strict=True))
    found = 0.5 + sum(weight for run, weight in weighed if run.found)
    lost = 0.5 + sum(weight for run, weight in weighed if not run.found)
    low, high = scipy.special.betaincinv(found, lost, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Power(found / (found + lost), float(low), float(high))


def tells(runs: Sequence[Run], variable: Variable) -> Tells:
    """Whether a variable tells found from lost among those runs that have a value of it.

    Raises:
        InputError: if none has.
    """
    known = [run for run in runs if variable.read(run) is not None]
    if not known:
        raise InputError(f"{variable.name}: not measured in any run", "Rehearse (detect rehearse).")
    values, groups, weights = [_value(variable, run) for run in known], _groups(known), weights_of(known)
    evidence = np.stack([_evidence(v, r, w, variable) for v, r, w in zip(values, known, weights, strict=True)])
    gain = 0.0
    for left_out in sorted(set(groups)):
        inside = np.array([group != left_out for group in groups])
        curve = Curve.of(evidence[inside], variable)
        bare = share([run for run, kept in zip(known, inside, strict=True) if kept]).mean
        for i in np.flatnonzero(~inside):
            gain += weights[i] * (_log_score(curve.mean(values[i]), known[i]) - _log_score(bare, known[i]))
    return Tells(variable.name, models_in(known), keys_in(known), gain)


def _value(variable: Variable, run: Run) -> float:
    return float(variable.read(run) or 0)


def _log_score(chance: float, run: Run) -> float:
    return math.log(max(1e-12, chance if run.found else 1 - chance))


def _groups(runs: Sequence[Run]) -> list[str]:
    """What each run shares its luck with: its key, else its model, else nothing."""
    return [run.key or run.suspect or f"run {i}" for i, run in enumerate(runs)]


def models_in(runs: Sequence[Run]) -> int:
    """How many models runs stand on."""
    return len({run.suspect for run in runs if run.suspect}) + sum(not run.suspect for run in runs)


def keys_in(runs: Sequence[Run]) -> int:
    """How many draws of a key, as far as runs share one."""
    return len(set(_groups(runs)))


def weights_of(runs: Sequence[Run]) -> list[float]:
    """How much each run counts: those of one model or key share their luck."""
    groups = _groups(runs)
    together = Counter(groups)
    return [1 / (1 + _ALIKE * (together[group] - 1)) for group in groups]


# --- the curve ------------------------------------------------------------------------------------


def _grid(variable: Variable) -> tuple[Array, Array]:
    """Logarithms of half, shape (g, 1), and slopes, (1, g), that a curve may have."""
    return (math.log(variable.half) + variable.spread * _GRID)[:, None], np.exp(_SLOPE + _SLOPE_SPREAD * _GRID)[None, :]


def _evidence(value: float, run: Run, weight: float, variable: Variable) -> Array:
    """Logarithm of the chance that each curve gives to a run, shape (g, g)."""
    half, slope = _grid(variable)
    distance = slope * (math.log(max(value, 1e-3)) - half)
    return np.asarray(-weight * np.logaddexp(0, -distance if run.found else distance))


@dataclass(frozen=True)
class Curve:
    """P(found) = 1 / (1 + (half / value)^slope), with half and slope as uncertain as the runs leave them."""

    variable: Variable
    weight: Array
    """Posterior probability of each half and slope, shape (g, g)."""

    @classmethod
    def of(cls, evidence: Array, variable: Variable) -> Curve:
        """The curves that the evidence of n runs, shape (n, g, g), leaves possible; the prior alone if n is 0."""
        log_weight = evidence.sum(axis=0) - (_GRID[:, None] ** 2 + _GRID[None, :] ** 2) / 2
        found = np.exp(log_weight - log_weight.max())
        return cls(variable, found / found.sum())

    def _chances(self, value: float) -> Array:
        half, slope = _grid(self.variable)
        return np.asarray(np.exp(-np.logaddexp(0, -slope * (math.log(max(value, 1e-12)) - half))))

    def mean(self, value: float) -> float:
        """Chance that a run with such a value is found."""
        return float((self._chances(value) * self.weight).sum())

    def power(self, value: float) -> Power:
        """The same with its interval."""
        if value <= 0:
            return Power(0.0, 0.0, 0.0)
        chance = self._chances(value)
        order = np.argsort(chance, axis=None)
        steps = np.cumsum(self.weight.ravel()[order])
        edges = np.searchsorted(steps, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        low, high = chance.ravel()[order][np.minimum(edges, len(order) - 1)]
        return Power(self.mean(value), float(low), float(high))
