"""What an owner may hope for: the expected power of a release, its range, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from protect.errors import InputError
from protect.release.plan import Options, check_range
from protect.release.power import (
    INTERVAL,
    WANTED,
    Law,
    Power,
    Run,
    alike,
    fit,
    measured_runs,
    strength_options,
    summary,
)

METHODS = ("lora", "full")
_HARDLY = 0.5
"""A release whose power stays below this, even at the upper end of its interval, can hardly be found."""


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
    """The expected power of each slot."""

    carriers: int
    """Of the slot that has fewest."""
    sightings: float
    """How often a slot's carriers are expected to be seen."""
    expectation: Expectation
    runs: tuple[Run, ...]
    """Of the same kind, found or not."""
    power: Power | None
    """None where nothing was measured nearby."""
    basis: str
    """One sentence: what the power rests on, or why there is none."""
    sightings_needed: float | None
    """For the power that is wanted, within what was tried."""
    rate_needed: float | None
    """The rate that would give them; None if none does."""

    @property
    def hardly(self) -> bool:
        """Whether the release can hardly be found."""
        return self.power is not None and self.power.high < _HARDLY

    @property
    def enough(self) -> bool:
        """Whether the expected power is what is wanted."""
        return self.power is not None and self.power.mean >= WANTED

    @property
    def carriers_needed(self) -> int | None:
        """Carriers per slot for the power that is wanted."""
        return None if self.sightings_needed is None else math.ceil(self.sightings_needed / self.expectation.passes)

    def sentence(self) -> str:
        """The power with its interval and its basis."""
        if self.power is None:
            return f"expected power not known: {self.basis}"
        return (
            f"expected power {self.power.mean:.0%} per slot ({INTERVAL:.0%} interval {self.power.low:.0%} to "
            f"{self.power.high:.0%}) after {self.sightings:,.0f} sightings of its carriers; {self.basis}"
        )


def forecast(options: Options, carriers: int, expectation: Expectation) -> Forecast:
    """The expected power of a release.

    Args:
        options: the owner's decisions.
        carriers: of the slot that has fewest.
        expectation: how a thief is expected to train.
    """
    known = measured_runs() if expectation.runs is None else list(expectation.runs)
    strength = strength_options(options.family, options.family_options)
    near = alike(known, options.family, options.alignment_name, expectation.method, strength)
    sightings = carriers * expectation.passes
    law = fit(near) if near else None
    power, basis = _within(law, sightings, near, expectation)
    needed = law.sightings() if law else None
    rate = None if needed is None or not carriers else options.rate * math.ceil(needed / expectation.passes) / carriers
    return Forecast(
        carriers, sightings, expectation, tuple(near), power, basis, needed, rate if rate and rate <= 1 else None
    )


def _within(
    law: Law | None, sightings: float, runs: Sequence[Run], expectation: Expectation
) -> tuple[Power | None, str]:
    """The power, as far as the runs bear it, and what it rests on."""
    origin = "your rehearsals" if expectation.runs is not None else "the miniature"
    if law is None:
        return None, f"no run of this family, trigger and way of training ({expectation.method}) was measured"
    low, high = law.tried
    basis = f"{summary(runs)}, on {origin}"
    if sightings > high:
        return law.power(high), f"{basis}; more were not tried, so it is the power at {high:,.0f}"
    if sightings < low:
        power = law.power(low)
        if power.mean > _HARDLY:
            return None, f"{basis}; {sightings:,.0f} are fewer than were ever tried"
        return Power(law.power(sightings).mean, 0.0, power.high), f"{basis}; so few were not tried"
    return law.power(sightings), basis


def check_findable(found: Forecast) -> None:
    """Refuse a release that can hardly be found.

    Raises:
        InputError: with the power, its basis and the rate that would do.
    """
    if not found.hardly:
        return
    better = "fewer --slots, another --family, more pictures, or "
    if found.rate_needed:
        better = f"--rate {found.rate_needed:.2g}, or "
    raise InputError(
        f"this release could hardly be found: {found.sentence()}",
        f"Use {better}--anyway to write it all the same (protect plan says more).",
    )
