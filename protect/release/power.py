"""The sample-size law: how often must a slot's carriers be seen in training before its mark is found?

A logistic curve in the logarithm of the sightings (carriers per slot times passes over the dataset), fitted to
measured runs: those of this project on its miniature, or the owner's own rehearsals. A rule of thumb for planning,
not evidence: other bases, learning rates and ranks shift it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from scipy import optimize

from protect.errors import InputError

RUN_FILE = "run.json"
"""Where a rehearsal keeps its run."""
WANTED = 0.9
"""Power that a plan should reach."""
_HALF, _HALF_SPREAD, _SLOPE, _SLOPE_SPREAD = math.log(300), 1.5, math.log(4), 0.7
"""Weak prior of the curve (logarithms): with few runs that are all found or all lost, the data alone fix nothing."""


@dataclass(frozen=True, slots=True)
class Run:
    """One slot of one suspect trained on purpose."""

    family: str
    alignment: str
    method: str
    """How the suspect was trained: "lora" or "full"."""
    sightings: float
    found: bool


@dataclass(frozen=True, slots=True)
class Law:
    """P(found) = 1 / (1 + (half / sightings)^slope)."""

    half: float
    slope: float
    runs: int

    def power(self, sightings: float) -> float:
        """Chance that a slot is found."""
        return 0.0 if sightings <= 0 else 1 / (1 + (self.half / sightings) ** self.slope)

    def sightings(self, power: float = WANTED) -> float:
        """Sightings at which a slot is found with that chance."""
        return float(self.half * (power / (1 - power)) ** (1 / self.slope))


def fit(runs: Sequence[Run]) -> Law:
    """Most probable curve for the runs, under a weak prior.

    Raises:
        InputError: if there are no runs.
    """
    if not runs:
        raise InputError("no measured runs of this kind", "Rehearse it (detect rehearse) and give --rehearsal FOLDER.")
    x = np.log([max(run.sightings, 1e-3) for run in runs])
    sign = np.where([run.found for run in runs], 1.0, -1.0)

    def cost(parameters: np.ndarray) -> float:
        half, slope = parameters
        misfit = np.logaddexp(0, -sign * math.exp(slope) * (x - half)).sum()
        prior = ((half - _HALF) / _HALF_SPREAD) ** 2 + ((slope - _SLOPE) / _SLOPE_SPREAD) ** 2
        return float(misfit + prior / 2)

    half, slope = optimize.minimize(cost, np.array([_HALF, _SLOPE]), method="Nelder-Mead").x
    return Law(float(math.exp(half)), float(math.exp(slope)), len(runs))


def alike(runs: Sequence[Run], family: str, alignment: str, method: str) -> list[Run]:
    """The runs of one kind; all triggers that are written into captions are taken for one.

    A rare word, a conjunction and a description were learned after about as many sightings
    (benchmarks/results/families.json); of both together there are few runs.
    """

    def kind(name: str) -> str:
        return name.partition("-")[0]

    near = [run for run in runs if (run.family, run.method) == (family, method)]
    return [run for run in near if kind(run.alignment) == kind(alignment)]


def measured_runs() -> list[Run]:
    """The runs that ship with the project, all on its miniature."""
    return _parse((files("protect") / "assets" / "runs.json").read_text(encoding="utf-8"), "the shipped runs")


def told(runs: Sequence[Run]) -> str:
    """What runs have shown, in a few words."""
    if not runs:
        return "power not measured"
    low, high = (edge(run.sightings for run in runs) for edge in (min, max))
    after = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
    return f"found in {sum(run.found for run in runs)} of {len(runs)} runs after {after} sightings"


def rehearsed_runs(folders: Iterable[Path]) -> list[Run]:
    """Runs of the owner's own rehearsals.

    Raises:
        InputError: if a folder holds none.
    """
    runs = []
    for folder in folders:
        path = folder / RUN_FILE
        try:
            runs += _parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
        except OSError as error:
            raise InputError(
                f"{path} cannot be read ({error.strerror})", "Give a folder that detect rehearse finished."
            ) from None
    return runs


def _parse(text: str, source: str) -> list[Run]:
    try:
        runs = [Run(**row) for row in json.loads(text)]
        if not all(isinstance(run.sightings, float | int) and isinstance(run.found, bool) for run in runs):
            raise ValueError("sightings are numbers, found is true or false")
        return runs
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{source}: not a list of runs ({error})", "Rehearse again.") from None
