"""What an owner may hope for: the expected power of a release, its range, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from protect.embed.select import Selection
from protect.embed.trainers import Trainer
from protect.errors import InputError
from protect.release.plan import PartOptions, check_range
from protect.release.power import (
    INTERVAL,
    WANTED,
    Power,
    Run,
    alike,
    fit,
    judged_together,
    measured_runs,
    strength_options,
    summary,
)

METHODS = ("lora", "full")
_HARDLY, _HOPELESS = 0.5, 0.1
"""A release can hardly be found if the upper end of its power's interval stays below the first, or its mean below the
second."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """How a thief is expected to train."""

    passes: float = 10.0
    """Passes over the dataset."""
    method: str = "lora"
    runs: tuple[Run, ...] | None = None
    """Runs to learn from; None for those that ship with the project."""

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed ones.
        """
        check_range("--passes", self.passes, 1e-3, 1e6)
        if self.method not in METHODS:
            raise InputError(f"--method {self.method} is unknown", f"Allowed: {', '.join(METHODS)}.")


USUAL = Expectation()
"""What is expected unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected power of each slot: the chance that it alone would give evidence at alpha."""

    carriers: int
    """Of the slot that has fewest."""
    sightings: float
    """How often a slot's carriers are expected to be seen."""
    expectation: Expectation
    runs: tuple[Run, ...]
    """Of the same kind, found or not."""
    power: Power | None
    """None where nothing of the kind was measured."""
    tried: bool
    """Whether so many sightings were tried: below, the curve alone speaks, and no promise is made."""
    basis: str
    """What the power rests on, or why there is none."""
    carriers_needed: int | None
    """Per slot, for the power that is wanted, within what was tried."""
    remedy: str
    """Options that would give so many carriers; empty if none do."""

    @property
    def hardly(self) -> bool:
        """Whether the release can hardly be found."""
        return self.power is not None and (self.power.high < _HARDLY or self.power.mean < _HOPELESS)

    @property
    def enough(self) -> bool:
        """Whether the expected power is what is wanted."""
        return self.tried and self.power is not None and self.power.mean >= WANTED

    def in_short(self) -> str:
        """The power with its interval."""
        if self.power is None:
            return "not known"
        low, high = self.power.low, self.power.high
        beyond = "" if self.tried else ", fewer than were tried"
        return f"{self.power.mean:.0%} ({low:.0%} to {high:.0%}) after {self.sightings:,.0f} sightings{beyond}"

    def sentence(self) -> str:
        """The power with its interval and its basis."""
        if self.power is None:
            return f"expected power not known: {self.basis}"
        power, of_what = self.power, judged_together(self.runs)
        return (
            f"expected power {power.mean:.0%} per {of_what} ({INTERVAL:.0%} interval {power.low:.0%} to "
            f"{power.high:.0%}) after {self.sightings:,.0f} sightings of its carriers; {self.basis}"
        )


def forecasts(selection: Selection, expectation: Expectation) -> tuple[Forecast, ...]:
    """The expected power of each part of a selection."""
    samples = selection.survey.changeable
    return tuple(
        forecast(
            part.options,
            min(draw.taught for draw in part.drawn.slots),
            samples,
            expectation,
            slots=len(part.drawn.slots),
        )
        for part in selection.parts
    )


def with_trainer(trainer: Trainer, selection: Selection, expectation: Expectation) -> Forecast:
    """The expected power of the best part of a selection if somebody trains with a program as it comes.

    Args:
        trainer: the program.
        selection: what the key decides.
        expectation: runs to learn from; its passes and method are those of the program.
    """
    passes = trainer.passes(selection.survey.samples)
    return best(forecasts(selection, Expectation(passes, trainer.method, expectation.runs)))


def best(found: Sequence[Forecast]) -> Forecast:
    """The part from which most may be hoped for."""
    return max(found, key=lambda one: one.power.mean if one.power else 0.0)


def forecast(
    options: PartOptions, carriers: int, samples: int, expectation: Expectation, *, slots: int = 1
) -> Forecast:
    """The expected power of a release.

    Args:
        options: the owner's decisions.
        carriers: of the slot that has fewest.
        samples: that may be changed.
        expectation: how a thief is expected to train.
        slots: of this part; they may be judged together.
    """
    known = measured_runs() if expectation.runs is None else list(expectation.runs)
    strength = strength_options(options.family, options.family_options)
    near = alike(known, options.family, options.alignment_name, expectation.method, strength, slots)
    sightings = carriers * expectation.passes
    if not near:
        basis = f"no run of this family, trigger and way of training ({expectation.method}) was measured"
        return Forecast(carriers, sightings, expectation, (), None, False, basis, None, "")
    law = fit(near)
    low, high = law.tried
    needed = law.sightings()
    together = any(run.slots > 1 for run in near)  # then all captions teach all slots, at any rate
    per_slot = None if needed is None or together else math.ceil(needed / expectation.passes)
    origin = "your rehearsals" if expectation.runs is not None else "the miniature"
    basis = f"{summary(near)}, on {origin}"
    if sightings > high:
        basis += f"; more were not tried, so it is the power at {high:,.0f}"
    elif sightings < low:
        basis += "; so few were not tried"
    power = law.power(min(sightings, high))
    remedy = _remedy(options, per_slot, samples)
    return Forecast(carriers, sightings, expectation, tuple(near), power, sightings >= low, basis, per_slot, remedy)


def _remedy(options: PartOptions, per_slot: int | None, samples: int) -> str:
    """A rate and a number of slots that give every slot its carriers: as many slots as the dataset bears.

    The number of slots is named with the rate, since it would grow with it.
    """
    if per_slot is None:
        return ""
    for slots in range(options.slots or 1, 0, -1):
        if slots * per_slot <= samples:
            rate = math.ceil(1e4 * slots * per_slot / samples) / 1e4
            return f"--rate {rate:g} --slots {slots}"
    return ""


def check_findable(found: Forecast) -> None:
    """Refuse a release that can hardly be found.

    Raises:
        InputError: with the power, its basis and the options that would do.
    """
    if not found.hardly:
        return
    better = found.remedy or "fewer --slots, another --family, more pictures"
    raise InputError(
        f"this release could hardly be found: {found.sentence()}",
        f"Use {better}, or --anyway to write it all the same (protect plan says more).",
    )
