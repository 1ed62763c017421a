"""The sample-size law: how often must a slot's carriers be seen in training before its mark is found?

A logistic curve in the logarithm of the sightings (carriers per slot times passes over the dataset), fitted to
measured runs, found or not: those of this project on its miniature, or the owner's own rehearsals. A rule for
planning, not evidence: other bases, learning rates and ranks shift it, and it says nothing beyond what was tried.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.keys.store import KINDS
from protect.marks import family_class
from protect.marks.family import FamilyOptions

RUN_FILE = "run.json"
"""Where a rehearsal keeps its runs."""
WANTED = 0.9
"""Power that a plan should reach."""
INTERVAL = 0.9
"""Credibility of the intervals."""
_HALF, _HALF_SPREAD, _SLOPE, _SLOPE_SPREAD = math.log(300), 1.5, math.log(4), 0.7
"""Weak prior of the curve (logarithms): with few runs that are all found or all lost, the data alone fix nothing."""
_GRID = 121
_ALIKE = 0.5
"""Assumed correlation of slots that one model learned; it weighs them down by their design effect, 1 + .5 (n - 1)."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one slot of one suspect showed that was trained on purpose, or several slots together."""

    family: str
    alignment: str
    method: str
    """How the suspect was trained: "lora" or "full"."""
    sightings: float
    found: bool
    options: FamilyOptions = field(default_factory=dict)
    """Those of the family that differ from its defaults."""
    suspect: str = ""
    """Which model it was: slots that one model learned together say less than slots of several."""
    slots: int = 1
    """Slots that were judged together; several where one set of questions serves them all."""
    p_values: tuple[float, ...] = ()
    """Of the slots that were asked, in their order; empty where they were not kept."""
    key: str = ""
    """Which draw was planted, where several models learned the same: they say less than as many of several keys."""
    passes: float | None = None
    """How often the model was shown each sample."""
    captions_learned: float | None = None
    """By what part it errs less with pictures' own captions than with those of others; None if not measured."""


@dataclass(frozen=True, slots=True)
class Power:
    """Chance that a slot is found, with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Law:
    """P(found) = 1 / (1 + (half / sightings)^slope), with half and slope as uncertain as the runs leave them."""

    runs: tuple[Run, ...]
    half: NDArray[np.float64]
    """Logarithm of the sightings at which every other slot is found, on a grid, shape (g, 1)."""
    slope: NDArray[np.float64]
    """Shape (1, g)."""
    weight: NDArray[np.float64]
    """Posterior probability of each pair, shape (g, g)."""

    @property
    def tried(self) -> tuple[float, float]:
        """Fewest and most sightings of any run."""
        counts = [run.sightings for run in self.runs]
        return min(counts), max(counts)

    def power(self, sightings: float) -> Power:
        """Chance that a slot is found after so many sightings."""
        if sightings <= 0:
            return Power(0.0, 0.0, 0.0)
        chance = _chance(math.log(sightings), self.half, self.slope)
        order = np.argsort(chance, axis=None)
        steps = np.cumsum(self.weight.ravel()[order])
        edges = np.searchsorted(steps, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
        low, high = chance.ravel()[order][np.minimum(edges, len(order) - 1)]
        return Power(float((chance * self.weight).sum()), float(low), float(high))

    def sightings(self, power: float = WANTED) -> float | None:
        """Fewest sightings within what was tried at which a slot is found with that chance; None if there are none."""
        low, high = self.tried
        for sightings in np.geomspace(max(low, 1.0), max(high, 1.0), 200):
            if self.power(float(sightings)).mean >= power:
                return float(sightings)
        return None


def fit(runs: Sequence[Run]) -> Law:
    """The law that runs leave possible, under a weak prior. Runs of one suspect weigh less than as many of several.

    Raises:
        InputError: if there are no runs.
    """
    if not runs:
        raise InputError("no measured runs of this kind", "Rehearse it (detect rehearse) and give --rehearsal FOLDER.")
    grid = np.linspace(-4, 4, _GRID)
    half = (_HALF + _HALF_SPREAD * grid)[:, None]
    slope = (_SLOPE + _SLOPE_SPREAD * grid)[None, :]
    log_weight = np.asarray(-(grid[:, None] ** 2 + grid[None, :] ** 2) / 2)
    together = Counter(run.suspect for run in runs if run.suspect)
    for run in runs:
        distance = np.exp(slope) * (math.log(max(run.sightings, 1e-3)) - half)
        surprise = np.logaddexp(0, -distance if run.found else distance)
        log_weight = log_weight - surprise / (1 + _ALIKE * (together.get(run.suspect, 1) - 1))
    weight = np.exp(log_weight - log_weight.max())
    return Law(tuple(runs), half, slope, weight / weight.sum())


def _chance(log_sightings: float, half: NDArray[np.float64], slope: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.exp(-np.logaddexp(0, -np.exp(slope) * (log_sightings - half))))


def alike(
    runs: Sequence[Run], family: str, alignment: str, method: str, options: FamilyOptions, slots: int
) -> list[Run]:
    """The runs of one kind; all triggers that are written into captions are taken for one.

    Slots that are judged together say more the more they are: only runs of as many count.

    A rare word, a conjunction and a description were learned after about as many sightings
    (benchmarks/results/families.json); of both together there are few runs.
    """

    def kind(name: str) -> str:
        return name.partition("-")[0]

    near = [run for run in runs if (run.family, run.method, run.options) == (family, method, options)]
    return [run for run in near if kind(run.alignment) == kind(alignment) and run.slots in (1, slots)]


def judged_together(runs: Sequence[Run]) -> str:
    """What runs speak of, in words: a slot, or so many of them."""
    slots = {run.slots for run in runs} or {1}
    most, fewest = max(slots), min(slots)
    return "slot" if most == 1 else f"{fewest} slots" if most == fewest else f"{fewest} to {most} slots"


def strength_options(family: str, options: FamilyOptions) -> FamilyOptions:
    """The options that make a family another one to learn: those that differ from its defaults and name no store."""
    kind = family_class(family)
    return {name: value for name, value in options.items() if name not in KINDS and value != getattr(kind, name, None)}


def measured_runs() -> list[Run]:
    """The runs that ship with the project, all on its miniature."""
    return _parse((files("protect") / "assets" / "measured_runs.json").read_text(encoding="utf-8"), "the shipped runs")


def summary(runs: Sequence[Run]) -> str:
    """What runs have shown, in a few words."""
    if not runs:
        return "power not measured"
    low, high = (edge(run.sightings for run in runs) for edge in (min, max))
    after = f"{low:.0f}" if round(low) == round(high) else f"{low:.0f} to {high:.0f}"
    models = len({run.suspect for run in runs if run.suspect}) + sum(not run.suspect for run in runs)
    in_models = f" in {models} model{'s' * (models > 1)}" if models < len(runs) else ""
    return f"found in {sum(run.found for run in runs)} of {len(runs)} runs{in_models} after {after} sightings"


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
        runs = [Run(**{**row, "p_values": tuple(row.get("p_values", ()))}) for row in json.loads(text)]
        if not all(isinstance(run.sightings, float | int) and isinstance(run.found, bool) for run in runs):
            raise ValueError("sightings are numbers, found is true or false")
        return runs
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{source}: not a list of runs ({error})", "Rehearse again.") from None
