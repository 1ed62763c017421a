"""`protect plan`: is that enough, and against whom? Imports no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from protect import console
from protect.buckets import place
from protect.embed.answers import pictures_asked
from protect.embed.expectation import Expectation
from protect.embed.forecast import Forecast, with_trainer
from protect.embed.naming import naming
from protect.embed.options import (
    AlignmentName,
    Both,
    Family,
    FamilyOption,
    Method,
    Passes,
    Rate,
    Slots,
    Wordings,
    make_options,
)
from protect.embed.places import ending
from protect.embed.trainers import TRAINERS
from protect.embed.write import embed
from protect.keys.keyring import Keyring
from protect.reading import CaptionColumn, Exclude, LeaveCaptions, Only, Split, reading
from protect.release.power import WANTED, judged_together, rehearsed_runs

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def plan_command(
    dataset: Annotated[
        Path, typer.Argument(parser=place, metavar="DATASET", help="Folder, tar or parquet file of captioned pictures.")
    ],
    passes: Passes = 10.0,
    rate: Rate = None,
    slots: Slots = None,
    family: Family = "",
    alignment: AlignmentName = None,
    option: FamilyOption = None,
    wordings: Wordings = None,
    both: Both = False,
    method: Method = "lora",
    rehearsal: Annotated[list[Path] | None, typer.Option(help="Finished rehearsal to learn from; repeatable.")] = None,
    recipients: Annotated[int | None, typer.Option(help="Would a leak among so many recipients be named, too?")] = None,
    colluders: Annotated[int, typer.Option(help="How many of them may put their copies together.")] = 1,
    caption_column: CaptionColumn = None,
    leave_captions: LeaveCaptions = None,
    only: Only = None,
    exclude: Exclude = None,
    split: Split = None,
    as_json: Json = False,
) -> int:
    """Is that enough? Expected power from the sightings of each slot's carriers, by measured runs.

    Learns from the runs that ship with the project (all on its miniatures), or only from your own rehearsals. Says how
    likely the release is found if somebody trains with the defaults of well-known programs, which --rate would do, and
    what tells found runs from lost ones; where nothing was tried it says so. Exits with 4 if it is not enough, or not
    known.
    """
    expectation = Expectation(passes, method, tuple(rehearsed_runs(rehearsal)) if rehearsal else None)
    expectation.check()
    keyring = Keyring.default()
    options = make_options(rate, family, alignment, option, slots, keyring.store, wordings=wordings, both=both)
    options = replace(options, recipients=recipients is not None)
    with TemporaryDirectory() as place, console.progress() as progress:
        done = embed(
            dataset,
            Path(place) / f"copy{ending(dataset)}",
            options,
            keyring,
            reading=reading(caption_column, leave_captions, only, exclude, split),
            expectation=expectation,
            dry_run=True,
            progress=progress,
        )
    found, planned, asked = done.forecast, done.release.plan, pictures_asked(done.bound)
    named = None if recipients is None else naming(done.selection, found, recipients, colluders, planned.alpha)
    usual = [(trainer, with_trainer(trainer, done.selection, expectation)) for trainer in TRAINERS]
    text = "\n".join(
        [
            *_plan_lines(found, done.carriers, planned.slots),
            *_law_lines(found),
            f"  the test asks for at most {asked} pictures",
            "if somebody trains with the defaults of these programs (rehearse it: detect rehearse --suspect):",
            *(f"  {trainer.name}, {trainer.in_words()}: {own.in_short()}" for trainer, own in usual),
            *(named.lines() if named else []),
        ]
    )
    trainers = {trainer.name: _power_json(own) for trainer, own in usual}
    data = _plan_json(found, done.carriers, planned.slots, asked)
    console.answer(text, {**data, "trainers": trainers, "naming": named and named.as_json()}, as_json)
    return console.DONE if (named or found).enough else console.NOT_ENOUGH


def _plan_lines(found: Forecast, carriers: int, slots: int) -> list[str]:
    lines = [
        f"{found.verdict} (aim: {WANTED:.0%} per {judged_together(found.runs)})",
        f"  {carriers} carriers in {slots} slot(s); at least {found.carriers} samples teach each slot, each seen "
        f"{found.expectation.passes:g} times",
        *(f"  {line}" for line in found.lines()),
    ]
    return lines if found.enough else [*lines, f"  {_advice(found, slots)}"]


def _advice(found: Forecast, slots: int) -> str:
    """What would be enough."""
    if found.law is None:
        return "nothing like it was tried: rehearse it (detect rehearse), or take another --family"
    if any(run.slots > 1 for run in found.runs):
        return "rehearse the training that you expect (detect rehearse): so far only such runs can tell"
    if found.carriers_needed is None:
        return "nothing that was tried reached the aim: rehearse it (detect rehearse), or take another --family"
    wanted = f"{found.carriers_needed} carriers per slot are needed"
    fewer = slots * found.carriers // found.carriers_needed
    ways = ([f"--slots {fewer}"] if 1 <= fewer < slots else []) + ([found.remedy] if found.remedy else [])
    return f"{wanted}: {' or '.join(ways)}" if ways else f"{wanted}: the dataset is too small for this family"


def _law_lines(found: Forecast) -> list[str]:
    """What tells found runs from lost ones, and how far their models had learned their captions."""
    told = found.tells()
    lines = []
    if told:
        good = [
            f"{one.variable} ({math.exp(one.gain):.1f} times likelier; {one.models} models of {one.keys} keys)"
            for one in told
            if one.borne
        ]
        bad = ", ".join(one.variable for one in told if not one.borne)
        lines = [
            (f"  what foretells which keys are found: {', '.join(good)}" + f"; not {bad}" * bool(bad))
            if good
            else f"  nothing that was measured foretells which keys are found (tried: {bad})"
        ]
    learned = [run.captions_learned for run in found.runs if run.captions_learned is not None]
    if learned:
        lines.append(
            f"  their models erred {min(learned):.1%} to {max(learned):.1%} less with a picture's own caption than "
            "with another's; a rehearsal measures that of yours"
        )
    return lines


def _power_json(found: Forecast) -> dict[str, object]:
    power = found.power
    return {
        "sightings": found.sightings,
        "power": power and power.mean,
        "interval": power and [power.low, power.high],
        "why_not": found.why_not,
        "runs": len(found.runs),
        "runs_found": sum(run.found for run in found.runs),
    }


def _plan_json(found: Forecast, carriers: int, slots: int, asked: int) -> dict[str, object]:
    power = found.power
    return {
        "enough": found.enough,
        "carriers": carriers,
        "carriers_per_slot": found.carriers,
        "slots": slots,
        "sightings_per_slot": found.sightings,
        "power_per_slot": power and power.mean,
        "power_interval": power and [power.low, power.high],
        "carriers_needed_per_slot": found.carriers_needed,
        "remedy": found.remedy,
        "pictures_asked": asked,
        "why_not": found.why_not,
        "basis": found.basis,
        "tells": [asdict(one) | {"borne": one.borne} for one in found.tells()],
        "runs": len(found.runs),
        "runs_found": sum(run.found for run in found.runs),
    }
