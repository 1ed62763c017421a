"""Commands of `attacks`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detect.commands import Device, Json, Method, use_all_cores
from protect import console, marks
from protect.errors import InputError
from protect.marks.family import FamilyOptions
from protect.release.plan import AUTO, RECOMMENDED, Options

if TYPE_CHECKING:
    from attacks.suite import Cell

attacks_app = console.make_app("Measure what a mark survives.")


@attacks_app.command("run")
def run_command(
    dataset: Annotated[Path, typer.Argument(help="Your dataset: a folder of pictures with captions.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything; a second run resumes.")],
    base: Annotated[Path | None, typer.Option(help="Diffusers folder that thieves tune. [the miniature]")] = None,
    plan: Annotated[Path | None, typer.Option(help="Plan file in TOML. [the standard suite]")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Copies per cell of the standard suite.")] = 1,
    keys: Annotated[int, typer.Option(min=1, max=16, help="Releases side by side in each copy: tests per model.")] = 1,
    family: Annotated[str, typer.Option(help="Mark family under the standard suite.")] = RECOMMENDED.family,
    alignment: Annotated[str | None, typer.Option(help=f"How the trigger meets captions. {AUTO}")] = None,
    option: Annotated[list[str] | None, typer.Option(help="Family option, as FAMILY.NAME=VALUE; repeatable.")] = None,
    rate: Annotated[float, typer.Option(help="Largest share of samples to mark.")] = 0.02,
    slots: Annotated[int, typer.Option(help="Independent marks.")] = 1,
    method: Annotated[Method, typer.Option(help="How thieves train.")] = Method.full,
    steps: Annotated[int, typer.Option(help="Their training steps.")] = 200,
    batch: Annotated[int, typer.Option(help="Their batch.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Their learning rate.")] = 1e-3,
    sampling_steps: Annotated[int, typer.Option(help="Sampling steps of the test.")] = 12,
    captioner: Annotated[Path | None, typer.Option(help="Image-to-text model for recaption-model: a folder.")] = None,
    device: Device = "cpu",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which cells, and what they cost.")] = False,
    as_json: Json = False,
) -> int:
    """Mark DATASET with throw-away keys, attack, train as a thief would, detect: one JSON file per cell."""
    from attacks.suite import LEAST, PARTS, check_needs
    from detect.training.finetune import FinetuneOptions
    from protect.formats import open_dataset
    from protect.miniature import miniature_path

    given = marks.parse_options_of(marks.families(), console.named_values(option or []))
    cells = _suite(plan, seeds, family, alignment, given)
    samples = len(open_dataset(dataset).listing.samples)
    tuning = FinetuneOptions(
        method=method.value, steps=steps, batch=batch, learning_rate=learning_rate, text_encoder=True
    )
    tuning.check()
    for cell in cells:
        check_needs(cell, method.value, captioner)
    embedding = Options(rate=rate, slots=slots, steps=sampling_steps)
    embedding.check()
    if output.resolve().is_relative_to(dataset.resolve()):
        raise InputError(f"{output} lies inside the dataset", "Give --output another folder.")
    if samples < LEAST:
        raise InputError(f"{dataset} holds {samples} samples", f"Attacks are measured on {LEAST} or more.")
    trained = len({c.trained.name for c in cells})
    if dry_run:
        passes = steps * batch / (samples * len(PARTS["own"]) / 12)
        trained += sum(c.attack in ("continue", "merge-other") for c in cells)
        row = {"cells": [c.name for c in cells], "fine_tunes": trained, "presentations": trained * steps * batch}
        text = f"at most {trained} fine-tunes of {steps} steps ({passes:.1f} passes) each, {len(cells) * keys} tests"
        console.answer("\n".join([*(c.name for c in cells), text]), row, as_json)
        return console.DONE
    use_all_cores()
    from attacks.page import write_page
    from attacks.workshop import Setting, run_cells

    setting = Setting(dataset, base or miniature_path(), embedding, tuning, device, keys, captioner, given)
    with console.progress() as told:
        rows = run_cells(cells, setting, output, told)
    page = output / "attacks.html"
    write_page(page, rows, output / "examples")
    console.answer("\n".join([*map(_line, rows), f"report: {page}"]), rows, as_json)
    return console.DONE


def _suite(
    plan: Path | None, seeds: int, family: str, alignment: str | None, options: Mapping[str, FamilyOptions]
) -> list[Cell]:
    """The cells of the plan file, or of the standard suite, checked."""
    from attacks.suite import read_suite, standard

    if plan:
        if (family, alignment) != (RECOMMENDED.family, None):
            raise InputError("--plan beside --family or --alignment", "Name them in the plan's cells.")
        cells = read_suite(plan, options)
    else:
        own = options.get(family, {})
        cells = standard(
            range(seeds), family, Options(family=family, alignment=alignment or "", family_options=own).way
        )
        for cell in cells:
            cell.check(own)
    if unused := sorted(set(options) - {cell.family for cell in cells}):
        raise InputError(f"--option for {unused[0]}, which no cell marks with", "Take it out, or add cells.")
    return cells


def _line(row: dict[str, Any]) -> str:
    what = row["attack"] if row["attack"] == "none" else f"{row['attack']} at {row['strength']:.2g}, {row['where']}"
    told = (
        f"{t['verdict']}, E = {t['e_value']:,.4g}" + (f" ({t['reason']})" if t["reason"] else "") for t in row["tests"]
    )
    return f"{what}: {'; '.join(told)}"


@attacks_app.command("ls")
def ls_command(as_json: Json = False) -> int:
    """List the attacks, by where they strike."""
    from attacks.stages.registry import ATTACKS

    rows = [{"name": a.name, "kind": a.kind, "summary": a.summary} for a in ATTACKS.values()]
    lines = [f"{r['kind']:<10} {r['name']:<14} {r['summary']}" for r in rows]
    console.answer("\n".join(lines), rows, as_json)
    return console.DONE
