"""Measured runs: what models that were trained on purpose showed, found or not.

Those of this project on its miniatures, or the owner's own rehearsals. `protect.release.law` fits them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from protect.errors import InputError
from protect.keys.store import KINDS
from protect.marks import family_class
from protect.marks.family import FamilyOptions

RUN_FILE = "run.json"
"""Where a rehearsal keeps its runs."""
WANTED = 0.9
"""Power that a plan should reach."""


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
    rate: float | None = None
    """Largest share of samples that changed; None where sightings count those alone."""
    pictures: str = ""
    """Which they were, in a word; empty for the owner's own."""


def alike(
    runs: Sequence[Run],
    family: str,
    alignment: str,
    method: str,
    options: FamilyOptions,
    slots: int,
    rate: float | None = None,
) -> list[Run]:
    """The runs of one kind; all triggers that are written into captions are taken for one.

    Slots that are judged together are another kind than those that are judged each by itself, of which one speaks for
    any number. Where all captions teach, the rate says how well: only runs of that rate or a little less count.

    A rare word, a conjunction and a description were learned after about as many sightings
    (benchmarks/results/families.json); of both together there are few runs.
    """

    def kind(name: str) -> str:
        return name.partition("-")[0]

    def rated(run: Run) -> bool:
        return rate is None or run.rate is None or rate / 2 <= run.rate <= rate + 1e-9

    near = [run for run in runs if (run.family, run.method, run.options) == (family, method, options)]
    near = [run for run in near if kind(run.alignment) == kind(alignment) and rated(run)]
    together = [run for run in near if run.slots > 1]
    return together if slots > 1 and together else [run for run in near if run.slots == 1]


def slots_tried(runs: Sequence[Run], slots: int) -> bool:
    """Whether runs speak of about as many slots that are judged together; one by itself speaks of any number."""
    counts = {run.slots for run in runs} or {1}
    return counts == {1} or min(counts) <= slots <= max(counts)


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


def summary(runs: Sequence[Run], told: Collection[str] = ()) -> str:
    """What runs have shown, in a few words; without those kinds of pictures that are told of elsewhere."""
    if not runs:
        return "power not measured"
    low, high = (edge(run.sightings for run in runs) for edge in (min, max))
    after = f"{low:,.0f}" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f}"
    models = len({run.suspect for run in runs if run.suspect}) + sum(not run.suspect for run in runs)
    in_models = f" in {models} model{'s' * (models > 1)}" if models < len(runs) else ""
    keys = len({run.key for run in runs if run.key})
    of_keys = f" of {keys} key{'s' * (keys > 1)}" if 0 < keys < len(runs) else ""
    each = " a slot" if any(run.slots > 1 for run in runs) else ""
    return (
        f"found in {_found_of(runs)} runs{in_models}{of_keys}{_by_pictures(runs, told)} after {after} sightings{each}"
    )


def _found_of(runs: Sequence[Run]) -> str:
    return f"{sum(run.found for run in runs)} of {len(runs)}"


def _by_pictures(runs: Sequence[Run], told: Collection[str]) -> str:
    """The same for each kind of pictures that is not told of elsewhere, if there are several in all."""
    kinds = dict.fromkeys(run.pictures for run in runs)
    left = [kind for kind in kinds if kind not in told]
    each = (f"{kind or 'your own'} {_found_of([run for run in runs if run.pictures == kind])}" for kind in left)
    return f" ({', '.join(each)})" if len(kinds) > 1 else ""


def lost_on(runs: Sequence[Run]) -> dict[str, int]:
    """Kinds of pictures on which no run was found though some were on others, and how many runs there were."""
    kinds = {
        kind: [run.found for run in runs if run.pictures == kind] for kind in dict.fromkeys(r.pictures for r in runs)
    }
    return {kind: len(found) for kind, found in kinds.items() if not any(found) and any(run.found for run in runs)}


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
