"""Whether a release for recipients can name who leaks: how many slots that needs, and what the dataset can carry.

It rests on what models that had learned one copy showed (`protect.release.tracing`), and it promises nothing for more
sightings than were tried.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from protect.alignments.sites.draw import draw_sites
from protect.alignments.wording import Wording
from protect.embed.expectation import Expectation
from protect.embed.forecast import Forecast
from protect.embed.select import SelectedPart, Selection
from protect.errors import InputError
from protect.marks.family import ChoosingFamily
from protect.release.plan import MOST_SLOTS, check_range
from protect.release.power import WANTED, Run, measured_runs, strength_options
from protect.release.tracing import TRIED, code_slots_needed, learned_alike, slots_needed

MOST_RECIPIENTS, MOST_COLLUDERS = 10_000_000, 20


@dataclass(frozen=True, slots=True)
class Naming:
    """What it takes to name a recipient who leaked."""

    recipients: int
    colluders: int
    slots: int
    """Of the plan."""
    needed: int | None
    """Slots for the wanted chance; None if no number is enough, or it is not known."""
    refused: str
    """Why the dataset cannot carry so many; empty if it can."""
    basis: str
    """What it rests on; empty if nothing like it was measured."""
    after: dict[float, int | None]
    """Slots needed after other sightings that were tried."""

    @property
    def enough(self) -> bool:
        """Whether the plan has the slots that are needed."""
        return self.needed is not None and self.slots >= self.needed and not self.refused

    def lines(self) -> list[str]:
        """For people."""
        who = f"who of {self.recipients:,} leaked"
        if self.colluders > 1:
            who = f"one of {self.colluders} of {self.recipients:,} recipients who put copies together"
        if not self.basis:
            return [f"naming {who}: not known; rehearse it (detect rehearse) and give --rehearsal FOLDER"]
        would = "no number of slots would do" if self.needed is None else f"{self.needed} slots would do"
        others = (f"{slots or 'no number'} at {seen:,.0f}" for seen, slots in self.after.items())
        lines = [
            f"naming {who}: {'enough' if self.enough else 'not enough'} (aim: {WANTED:.0%})",
            f"  {would}; the plan has {self.slots}",
            f"  {self.basis}",
            *(
                [f"  slots needed, by sightings (pictures times passes) in the runs: {'; '.join(others)}"]
                if self.after
                else []
            ),
        ]
        if self.refused:
            return [*lines, f"  the dataset cannot carry them: {self.refused}"]
        return [*lines, f"  use --slots {self.needed}"] if self.needed and not self.enough else lines

    def as_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self) | {"enough": self.enough}


def naming(selection: Selection, found: Forecast, recipients: int, colluders: int, alpha: float) -> Naming:
    """What it takes to name somebody who leaked.

    Args:
        selection: of a release for recipients.
        found: its forecast, with how a thief is expected to train.
        recipients: all that will ever be issued.
        colluders: how many may put their copies together.
        alpha: level, for all recipients together.

    Raises:
        InputError: if a number is out of range.
    """
    check_range("--recipients", recipients, 1, MOST_RECIPIENTS)
    check_range("--colluders", colluders, 1, min(MOST_COLLUDERS, recipients))
    (part,) = selection.parts
    by = _by_draws if isinstance(part.family, ChoosingFamily) else _by_code
    return by(part, selection, found, recipients, colluders, alpha)


def _by_draws(
    part: SelectedPart, selection: Selection, found: Forecast, recipients: int, colluders: int, alpha: float
) -> Naming:
    """Every recipient has marks drawn for it alone."""
    assert isinstance(part.family, ChoosingFamily)
    length, slots = len(part.family.fitted_looks.spread), len(part.drawn.slots)
    runs = _runs_like(part, found.expectation)

    def slots_after(near: tuple[Run, ...]) -> int | None:
        return slots_needed(near, recipients, colluders, alpha, length) if near else None

    near = learned_alike(runs, found.sightings)
    needed, used = slots_after(near), {run.sightings for run in near}
    levels = sorted({run.sightings for run in runs if run.p_values} - used)
    fewest, most, models = min(used, default=0.0), max(used, default=0.0), {run.suspect for run in near}
    basis = (
        f"{len(models)} model(s) that had learned one copy, after {fewest:,.0f} to {most:,.0f} sightings "
        f"({found.sightings:,.0f} are expected); further choices of words are taken to be learned like theirs, up to "
        f"{max(TRIED)}"
    )
    return Naming(
        recipients,
        colluders,
        slots,
        needed,
        _too_few_words(part, selection, needed) if needed and needed > slots else "",
        basis if near else "",
        {seen: slots_after(learned_alike(runs, seen)) for seen in levels},
    )


def _runs_like(part: SelectedPart, expectation: Expectation) -> list[Run]:
    """Runs of such a mark and such a training, whatever the number of their slots."""
    options = strength_options(part.options.family, part.options.family_options)
    known = measured_runs() if expectation.runs is None else expectation.runs
    kind = (part.options.family, part.options.alignment_name, expectation.method, options)
    return [run for run in known if (run.family, run.alignment, run.method, run.options) == kind]


def _too_few_words(part: SelectedPart, selection: Selection, slots: int) -> str:
    """Why the captions do not have so many choices of words that go together; empty if they do."""
    if not isinstance(part.alignment, Wording):
        return ""
    try:
        sites = tuple(part.alignment.sites.values())
        draw_sites(sites, selection.dataset.records(), slots, np.random.default_rng(0))
    except InputError as error:
        return error.what.partition(";")[0]
    return ""


def _by_code(
    part: SelectedPart, selection: Selection, found: Forecast, recipients: int, colluders: int, alpha: float
) -> Naming:
    """Every recipient has one bit of a tracing code in each slot."""
    slots, needed = len(part.drawn.slots), code_slots_needed(recipients, colluders, alpha)
    refused, carriers = "", sum(len(draw.carriers) for draw in part.drawn.slots)
    if needed and needed > MOST_SLOTS:
        refused = f"{needed} slots, and a release has at most {MOST_SLOTS}"
    elif needed and found.carriers_needed and needed * found.carriers_needed > carriers:
        wanted = needed * found.carriers_needed
        refused = f"{wanted:,} carriers, {found.carriers_needed} for each slot, and --rate gives {carriers:,}"
    basis = f"bits of a tracing code, each slot learned so that it would be found by itself; {found.basis}"
    return Naming(
        recipients, colluders, slots, needed, refused, basis if found.power and found.carriers_needed else "", {}
    )
