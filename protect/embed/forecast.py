"""What an owner may hope for: the expected power of a release, its range, and what that rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from protect.embed.expectation import METHODS, Expectation
from protect.embed.select import Selection
from protect.embed.trainers import SLOWEST_TRIED, Trainer
from protect.errors import InputError
from protect.release.law import INTERVAL, VARIABLES, Law, Power, Tells, fit, models_in, tells
from protect.release.plan import PartOptions
from protect.release.power import (
    WANTED,
    Run,
    alike,
    judged_together,
    lost_on,
    measured_runs,
    slots_tried,
    strength_options,
    summary,
)

_HARDLY, _HOPELESS = 0.5, 0.1
"""A release can hardly be found if the upper end of its power's interval stays below the first, or its mean below the
second. Below what was tried the curve alone says so."""
_FURTHER = 3
"""Of choices of words no power is told where they are shown so many times as often as was ever tried: the curve's last
value holds near by, but all else is learned, too, and nobody has looked."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected power of each slot: the chance that it alone would give evidence at alpha."""

    carriers: int
    """Of the slot that has fewest."""
    sightings: float
    """How often a slot's carriers are expected to be seen."""
    seen: float
    """The same of all slots where they are judged together."""
    expectation: Expectation
    law: Law | None
    """Of runs of the same kind, found or not; None where nothing of the kind was measured."""
    power: Power | None
    """None outside what was tried."""
    hardly: bool
    """Whether the release can hardly be found."""
    why_not: str
    """Why no power is told, or none that is promised; empty if it is."""
    notes: tuple[str, ...]
    """What must be said of the runs that it rests on, but for pictures on which none was found."""
    carriers_needed: int | None
    """Per slot, for the power that is wanted, within what was tried."""
    remedy: str
    """Options that would give so many carriers; empty if none do."""

    @property
    def runs(self) -> tuple[Run, ...]:
        """What it rests on."""
        return self.law.runs if self.law else ()

    @property
    def basis(self) -> str:
        """What the power rests on, or why there is none."""
        return self._rests_on(_lost_in_words(self.runs))

    @property
    def enough(self) -> bool:
        """Whether the expected power is what is wanted."""
        return not self.why_not and self.power is not None and self.power.mean >= WANTED

    @property
    def verdict(self) -> str:
        """Enough, not enough, or not known; fewer sightings than were too few are too few."""
        if self.enough or self.law is None:
            return "enough" if self.enough else "not known"
        low, high = self.law.tried
        least = self.law.power(low)
        too_few = self.seen < low and self.law.borne and least is not None and least.mean < WANTED
        too_few |= self.seen <= high and not any(run.found for run in self.runs)
        return "not enough" if too_few or not self.why_not else "not known"

    def tells(self) -> list[Tells]:
        """Which of the variables that were measured tell found runs from lost ones; none if all ended alike."""
        if len({run.found for run in self.runs}) < 2:
            return []
        found = [(variable, [run for run in self.runs if variable.read(run) is not None]) for variable in VARIABLES]
        return [
            tells(known, variable)
            for variable, known in found
            if len({run.found for run in known}) > 1 and len({variable.read(run) for run in known}) > 1
        ]

    def in_short(self) -> str:
        """The power with its interval."""
        if self.power is None:
            return f"not known: {self.why_not}"
        power, but = self.power, f", but {self.why_not}" if self.why_not else ""
        models, of_all = models_in(self.runs), _of_all(self.runs)
        return (
            f"found with probability {power.mean:.0%} ({power.low:.0%} to {power.high:.0%}) after {self.seen:,.0f} "
            f"sightings{of_all}; {models} model{'s' * (models > 1)}, {_tried(self.law)} tried{but}"
        )

    def sentence(self) -> str:
        """The power with its interval and its basis."""
        return f"{self._expected()}{':' if self.power is None else ';'} {self.basis}"

    def lines(self) -> list[str]:
        """The same in lines; first, on what kinds of pictures nothing was found."""
        lost = lost_on(self.runs).items()
        way = METHODS[self.expectation.method]
        warning = [f"if yours are {kind}: not found after {way}, 0 of {count} runs" for kind, count in lost]
        basis = self._rests_on()
        if self.power is None:
            return [*warning, f"{self._expected()}: {basis}"]
        return [*warning, self._expected(), f"that rests on: {basis}"]

    def _rests_on(self, lost: Iterable[str] = ()) -> str:
        """What the power rests on; kinds of pictures on which nothing was found are named in `lost` alone."""
        if self.law is None:
            return self.why_not
        origin = "your rehearsals" if self.expectation.runs is not None else "small models"
        return "; ".join([f"{summary(self.runs, lost_on(self.runs))}, on {origin}", *lost, *self.notes])

    def _expected(self) -> str:
        """The power with its interval."""
        if self.power is None:
            after = f" after {self.sightings:,.0f} sightings of its carriers" if self.law else ""
            return (
                f"not expected to be found{after}"
                if self.verdict == "not enough"
                else f"expected power not known{after}"
            )
        power, together = self.power, judged_together(self.runs)
        of_what = "each slot" if together == "slot" else f"{together} together"
        return (
            f"expected power {power.mean:.0%} ({INTERVAL:.0%} interval {power.low:.0%} to {power.high:.0%}) for "
            f"{of_what} after {self.sightings:,.0f} sightings"
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
            on_average=sum(draw.taught for draw in part.drawn.slots) / len(part.drawn.slots),
        )
        for part in selection.parts
    )


def with_trainer(trainer: Trainer, selection: Selection, expectation: Expectation) -> Forecast:
    """The expected power of the best part of a selection if somebody trains with a program as it comes.

    None is told of programs that train more slowly than all runs that ship with the project.

    Args:
        trainer: the program.
        selection: what the key decides.
        expectation: runs to learn from; its passes and method are those of the program.
    """
    passes = trainer.passes(selection.survey.samples)
    found = best(forecasts(selection, Expectation(passes, trainer.method, expectation.runs)))
    if expectation.runs is not None or (trainer.learning_rate or 0) >= SLOWEST_TRIED:
        return found
    slow = f"its learning rate is lower than in the runs that this rests on ({SLOWEST_TRIED:g} and more)"
    why_not = slow if trainer.learning_rate else "its learning rate is not known"
    return replace(found, power=None, hardly=False, why_not=why_not)


def best(found: Sequence[Forecast]) -> Forecast:
    """The part from which most may be hoped for."""
    return max(found, key=lambda one: one.power.mean if one.power else 0.0)


def forecast(
    options: PartOptions,
    carriers: int,
    samples: int,
    expectation: Expectation,
    *,
    slots: int = 1,
    on_average: float | None = None,
) -> Forecast:
    """The expected power of a release.

    Args:
        options: the owner's decisions.
        carriers: of the slot that has fewest.
        samples: that may be changed.
        expectation: how a thief is expected to train.
        slots: of this part; they may be judged together.
        on_average: carriers of its slots, on average, which count where they are; None if all have as many.
    """
    known = measured_runs() if expectation.runs is None else list(expectation.runs)
    strength = strength_options(options.family, options.family_options)
    near = alike(known, options.family, options.alignment_name, expectation.method, strength, slots, options.rate)
    together = any(run.slots > 1 for run in near)  # then all captions teach all slots, at any rate
    sightings = (on_average if together and on_average else carriers) * expectation.passes
    if not near:
        why_not = f"no run of this family, trigger and way of training ({expectation.method}) was measured"
        return Forecast(carriers, sightings, sightings, expectation, None, None, False, why_not, (), None, "")
    law, seen = fit(near), sightings * (slots if together else 1)
    far, lost = together and seen > _FURTHER * law.tried[1], not any(run.found for run in near)
    power, needed = None if far or lost else law.power(seen), law.sightings()
    per_slot = None if needed is None or together else math.ceil(needed / expectation.passes)
    if lost:
        why_not, notes = f"none of {len(near)} runs like it was found", tuple[str, ...]()
    else:
        why_not, notes = _bounds(law, seen, slots, told=power is not None)
    remedy = _remedy(options, per_slot, samples)
    few = law.at_few(seen) if seen < law.tried[0] else None if far else law.power(seen)
    untried = lost and seen > law.tried[1]
    hardly = few is not None and not untried and (few.high < _HARDLY or few.mean < _HOPELESS)
    return Forecast(carriers, sightings, seen, expectation, law, power, hardly, why_not, notes, per_slot, remedy)


def _tried(law: Law | None) -> str:
    """Which sightings were tried, in words."""
    low, high = law.tried if law else (0.0, 0.0)
    return f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"


def _of_all(runs: Sequence[Run]) -> str:
    """What sightings are counted of, where it is not one slot."""
    return " of all slots" if any(run.slots > 1 for run in runs) else ""


def _bounds(law: Law, seen: float, slots: int, *, told: bool) -> tuple[str, tuple[str, ...]]:
    """Why no power may be promised, empty if it may; and what else must be said of what it rests on."""
    (low, high), notes = law.tried, list[str]()
    of_all = _of_all(law.runs)
    outside = f"{seen:,.0f} sightings{of_all}, and {_tried(law)} were tried"
    if not law.borne:
        notes.append("more training did not help in these runs, so the power is the share that was found")
    if not told:
        return outside, (*notes, f"nobody tried so {'few' if seen < low else 'many'}")
    doubts = _lost_in_words(law.runs)
    if seen > high:
        notes.append(f"nobody tried more: it is the power at {high:,.0f}{of_all}")
    if not law.borne and not slots_tried(law.runs, slots):
        notes.append(f"{slots} slots were not tried")
        doubts.append(notes[-1])
    return "; ".join(doubts), tuple(notes)


def _lost_in_words(runs: Sequence[Run]) -> list[str]:
    return [f"none of {count} runs on {kind} was found" for kind, count in lost_on(runs).items()]


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
