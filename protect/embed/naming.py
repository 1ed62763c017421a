"""Whether a release for recipients can name who leaks: how many choices of words that needs, and what the dataset has.

It rests on what models that had learned one copy showed (`protect.release.tracing`), and it promises nothing for more
sightings than were tried.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from protect.alignments.sites.draw import draw_sites
from protect.alignments.wording import Wording
from protect.embed.forecast import Expectation
from protect.embed.select import SelectedPart, Selection
from protect.errors import InputError
from protect.marks.family import ChoosingFamily
from protect.release.plan import check_range
from protect.release.power import WANTED, Run, measured_runs, strength_options
from protect.release.tracing import MOST_SLOTS, code_slots_needed, learned_alike, slots_needed

MOST_RECIPIENTS, MOST_COLLUDERS = 10_000_000, 20


@dataclass(frozen=True, slots=True)
class Naming:
    """What it takes to name a recipient who leaked."""

    recipients: int
    colluders: int
    slots: int
    """Of the plan."""
    sightings: float
    """How often a slot's words are expected to be seen."""
    needed: int | None
    """Slots for the wanted chance; None if more than a release can have, or not known."""
    refused: str
    """Why the dataset cannot carry so many; empty if it can."""
    after: dict[float, int | None]
    """Slots needed after other sightings that were tried."""
    code: int | None
    """Slots of a tracing code that would do the same, if each were learned without doubt."""
    models: int
    """How many models it rests on, and after how many sightings they were asked."""
    tried: tuple[float, float]

    @property
    def enough(self) -> bool:
        """Whether the plan has the slots that are needed."""
        return self.needed is not None and self.slots >= self.needed

    def lines(self) -> list[str]:
        """For people."""
        who = f"who of {self.recipients:,} leaked" if self.colluders == 1 else f"one of {self.colluders} who put copies"
        aim = who if self.colluders == 1 else f"{who} together, of {self.recipients:,} recipients"
        head = f"naming {aim}: {'enough' if self.enough else 'not enough' if self.models else 'not known'}"
        if not self.models:
            return [head, "  nothing like it was measured: rehearse it (detect rehearse) and give --rehearsal FOLDER"]
        others = [f"{self._slots(slots)} after {seen:,.0f}" for seen, slots in self.after.items()]
        lines = [
            f"{head} (aim: {WANTED:.0%})",
            f"  {self._slots(self.needed)} needed after {self.sightings:,.0f} sightings, the plan has {self.slots}",
            f"  rests on {self.models} model(s) that had learned one copy, on the miniature or rehearsed, after "
            f"{self.tried[0]:,.0f} to {self.tried[1]:,.0f} sightings; that further choices are learned like theirs is "
            "assumed, and that copies are mixed, or one taken for each choice",
            *([f"  sightings are pictures times passes; needed are {', '.join(others)}"] if others else []),
        ]
        if self.refused:
            lines.append(f"  this dataset cannot carry them: {self.refused}")
        elif self.needed is not None and not self.enough:
            lines.append(f"  use --slots {self.needed}")
        if self.colluders > 1 and not self.enough and self.code is not None:
            lines.append(f"  a tracing code would need {self.code:,} slots, each learned without doubt")
        return lines

    @staticmethod
    def _slots(number: int | None) -> str:
        return f"more than {MOST_SLOTS} slots" if number is None else f"{number} slots"

    def as_json(self) -> dict[str, object]:
        """The fields by name."""
        return asdict(self) | {"enough": self.enough, "tried": list(self.tried)}


def naming(selection: Selection, expectation: Expectation, recipients: int, colluders: int, alpha: float) -> Naming:
    """What it takes to name somebody who leaked.

    Args:
        selection: of a release for recipients.
        expectation: how a thief is expected to train.
        recipients: all that will ever be issued.
        colluders: how many may put their copies together.
        alpha: level, for all recipients together.

    Raises:
        InputError: if a number is out of range, or the release is not for recipients.
    """
    check_range("--recipients", recipients, 1, MOST_RECIPIENTS)
    check_range("--colluders", colluders, 1, min(MOST_COLLUDERS, recipients))
    (part,) = selection.parts
    if not isinstance(part.family, ChoosingFamily):
        raise InputError(f"copies of family {part.family.name!r} are not for recipients", "Use --family lean.")
    length = len(part.family.fitted_looks.spread)
    taught = min(draw.taught for draw in part.drawn.slots)
    runs = _runs_like(part, expectation)
    near = learned_alike(runs, taught * expectation.passes)
    levels = sorted({run.sightings for run in runs if run.p_values})

    def slots_after(known: tuple[Run, ...]) -> int | None:
        return slots_needed(known, recipients, colluders, alpha, length) if known else None

    needed = slots_after(near)
    used = {run.sightings for run in near}
    return Naming(
        recipients,
        colluders,
        len(part.drawn.slots),
        taught * expectation.passes,
        needed,
        _refusal(part, selection, needed) if needed and needed > len(part.drawn.slots) else "",
        {seen: slots_after(learned_alike(runs, seen)) for seen in levels if seen not in used},
        code_slots_needed(recipients, colluders, alpha),
        len({run.suspect for run in near}),
        (min(used, default=0.0), max(used, default=0.0)),
    )


def _runs_like(part: SelectedPart, expectation: Expectation) -> list[Run]:
    """Runs of such a mark and such a training, whatever the number of their slots."""
    options = strength_options(part.options.family, part.options.family_options)
    known = measured_runs() if expectation.runs is None else expectation.runs
    kind = (part.options.family, part.options.alignment_name, expectation.method, options)
    return [run for run in known if (run.family, run.alignment, run.method, run.options) == kind]


def _refusal(part: SelectedPart, selection: Selection, slots: int) -> str:
    """Why the captions do not have so many choices of words that go together; empty if they do."""
    if not isinstance(part.alignment, Wording):
        return ""
    try:
        sites = tuple(part.alignment.sites.values())
        draw_sites(sites, selection.dataset.records(), slots, np.random.default_rng(0))
    except InputError as error:
        return error.what.partition(";")[0]
    return ""
