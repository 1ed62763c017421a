"""Commands of `attacks`. They parse, call and print; nothing heavy is imported before it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detect.shared_options import Device, Json, Method, use_all_cores
from protect import console, marks, reading
from protect.embed.options import Both, Rate
from protect.errors import InputError
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.marks.family import FamilyOptions
from protect.release.plan import AUTO, SHADE, Options, PartOptions, usual_part

if TYPE_CHECKING:
    from attacks.cell import Cell
    from attacks.result import CellResult
    from detect.training.options import FinetuneOptions
    from protect.formats.dataset_format import ReadOptions

attacks_app = console.make_app("Measure what a mark survives.")


@attacks_app.command("run")
def run_command(
    dataset: Annotated[Path, typer.Argument(help="Your dataset: pictures with captions, in any form.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything; a second run resumes.")],
    base: Annotated[Path | None, typer.Option(help="Diffusers folder that thieves tune. [the miniature]")] = None,
    plan: Annotated[Path | None, typer.Option(help="Plan file in TOML. [the standard suite]")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Copies per cell of the standard suite.")] = 1,
    keys: Annotated[int, typer.Option(min=1, max=16, help="Releases side by side in each copy: tests per model.")] = 1,
    family: Annotated[str | None, typer.Option(help="Mark family of the standard suite. [lean]")] = None,
    alignment: Annotated[str | None, typer.Option(help=f"How the trigger meets captions. {AUTO}")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Family option, as FAMILY.NAME=VALUE; repeatable.")] = None,
    rate: Rate = None,
    both: Both = False,
    slots: Annotated[int | None, typer.Option(help="Independent marks. [by alignment: 1 to 8]")] = None,
    method: Annotated[Method, typer.Option(help="How thieves train.")] = Method.full,
    steps: Annotated[int, typer.Option(help="Their training steps.")] = 200,
    batch: Annotated[int, typer.Option(help="Their batch.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Their learning rate.")] = 1e-3,
    sampling_steps: Annotated[int, typer.Option(help="Sampling steps of the test.")] = 12,
    captioner: Annotated[Path | None, typer.Option(help="Image-to-text model for recaption-model: a folder.")] = None,
    caption_column: reading.CaptionColumn = None,
    only: reading.Only = None,
    exclude: reading.Exclude = None,
    split: reading.Split = None,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which cells, and what they cost.")] = False,
    as_json: Json = False,
) -> int:
    """Mark DATASET with throw-away keys, attack, train as a thief would, detect: one JSON file per cell."""
    from attacks.cell import check_needs
    from detect.training.options import FinetuneOptions

    given = marks.parse_options_of(marks.families(), console.named_values(option or []))
    usual = usual_part(rate, family or "", alignment or "")
    named = family is not None or alignment is not None
    cells = _suite(plan, seeds, usual, named, given, Keyring.default().store)
    tuning = FinetuneOptions(
        method=method.value, steps=steps, batch=batch, learning_rate=learning_rate, text_encoder=True
    )
    tuning.check()
    for cell in cells:
        check_needs(cell, method.value, captioner)
    embedding = Options.of(replace(usual, slots=slots), *[SHADE] * both, steps=sampling_steps)
    embedding.check()
    how = reading.reading(caption_column, None, only, exclude, split)
    if output.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{output} lies inside the dataset", "Give --output another folder.")
    if dry_run:
        return _planned(cells, keys, tuning, _count(dataset, how), as_json)
    use_all_cores()
    from attacks.measure import run_cells
    from attacks.page import write_page
    from attacks.workshop import Setting, Workshop
    from protect.miniature import miniature_path

    setting = Setting(
        dataset=dataset,
        base=base or miniature_path(),
        embedding=embedding,
        tuning=tuning,
        device=device,
        keys=keys,
        captioner=captioner,
        family_options=given,
        store=Keyring.default().store,
        reading=how,
    )
    with console.progress() as progress:
        workshop = Workshop(setting, output, output / "cache", progress)
        results = run_cells(cells, workshop)
        set_aside = workshop.prepare()
    page = output / "attacks.html"
    write_page(page, results, output / "examples", set_aside)
    lines = [*map(_line, results), *(f"set aside: {s.key}: {s.reason}" for s in set_aside), f"report: {page}"]
    row = {"cells": [r.as_json() for r in results], "set_aside": [asdict(s) for s in set_aside], "report": str(page)}
    console.answer("\n".join(lines), row, as_json)
    return console.SET_ASIDE if set_aside else console.DONE


def _count(dataset: Path, how: ReadOptions) -> int:
    """Samples that a run would use, unless their pictures are broken; reads no picture.

    Raises:
        InputError: if they are too few.
    """
    from attacks.parts import check_enough
    from protect.formats import open_dataset
    from protect.formats.survey import may_change

    count = sum(may_change(record, how) for record in open_dataset(dataset, how).records())
    check_enough(dataset, count)
    return count


def _planned(cells: list[Cell], keys: int, tuning: FinetuneOptions, samples: int, as_json: bool) -> int:
    """Which cells, and what they would cost."""
    from attacks.parts import PARTS
    from attacks.stages.registry import find_attack

    trained = len({c.trained.name for c in cells}) + sum(find_attack(c.attack).trains for c in cells)
    own = samples * len(PARTS["own"]) / sum(map(len, PARTS.values()))
    passes = tuning.steps * tuning.batch / own
    row = {
        "cells": [c.name for c in cells],
        "fine_tunes": trained,
        "presentations": trained * tuning.steps * tuning.batch,
    }
    cost = f"at most {trained} fine-tunes of {tuning.steps} steps ({passes:.1f} passes) each, {len(cells) * keys} tests"
    console.answer("\n".join([*(c.name for c in cells), cost]), row, as_json)
    return console.DONE


def _suite(
    plan: Path | None,
    seeds: int,
    usual: PartOptions,
    named: bool,
    options: Mapping[str, FamilyOptions],
    store: Store,
) -> list[Cell]:
    """The cells of the plan file, or of the standard suite, checked."""
    from attacks.suite import read_suite, standard

    if plan:
        if named:
            raise InputError("--plan beside --family or --alignment", "Name them in the plan's cells.")
        cells = read_suite(plan, options, store)
    else:
        own = options.get(usual.family, {})
        cells = standard(range(seeds), usual.family, usual.alignment_name)
        for cell in cells:
            cell.check(own, store)
    if unused := sorted(set(options) - {cell.family for cell in cells}):
        raise InputError(f"--option for {unused[0]}, which no cell marks with", "Take it out, or add cells.")
    return cells


def _line(result: CellResult) -> str:
    cell = result.cell
    what = cell.attack if cell.attack == "none" else f"{cell.attack} at {cell.strength:.2g}, {cell.where}"
    verdicts = (f"{t.verdict}, E = {t.e_value:,.4g}" + (f" ({t.reason})" if t.reason else "") for t in result.tests)
    return f"{what}: {'; '.join(verdicts)}"


@attacks_app.command("ls")
def ls_command(as_json: Json = False) -> int:
    """List the attacks, by what they strike."""
    from attacks.stages.registry import ATTACKS

    rows = [{"name": a.name, "stage": a.stage, "summary": a.summary} for a in ATTACKS.values()]
    lines = [f"{r['stage']:<10} {r['name']:<16} {r['summary']}" for r in rows]
    console.answer("\n".join(lines), rows, as_json)
    return console.DONE
