"""`detect ask`: questions for somebody else to put."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from detect.shared_options import Json, chosen_releases
from protect import console
from protect.errors import InputError
from protect.keys.keyring import Keyring


def ask_command(
    release: Annotated[str, typer.Argument(help="Release to test for, by id or name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New folder for a table, JSON and a page. [a table on stdout]")
    ] = None,
    queries: Annotated[int | None, typer.Option(help="Fewer test pictures per slot than planned.")] = None,
    steps: Annotated[int | None, typer.Option(help="Other sampling steps than planned.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Other guidance than planned.")] = None,
    price: Annotated[float | None, typer.Option(min=0, help="What one picture costs, to say what all cost.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many questions; write nothing.")] = False,
    as_json: Json = False,
) -> int:
    """Write a release's questions down for whoever can put them to the suspect: a service, a person, a program.

    Save each picture under the name that stands beside its question, and judge them with: detect run --answers FOLDER.
    Triggers stand in the prompts: show the questions to nobody who could warn the suspect.
    """
    from detect.asking.sheet import sheet_csv, sheet_json, sheet_rows, write_sheet
    from detect.trial.judge import check_testable
    from detect.trial.questions import Departures, query_plan
    from protect.release.bound import bind

    keyring = Keyring.default()
    found = chosen_releases(keyring, release, for_classifiers=False)[0]
    check_testable(found)
    bound, plan = bind(found, keyring.store), query_plan(found, Departures(queries, steps, guidance))
    bound.check_questions(plan.queries)
    rows = sheet_rows(bound, plan)
    cost = "" if price is None else f"; at {price:g} a picture they cost {price * len(rows):,.2f}"
    said = f"{len(rows)} questions for release {found.name}{cost}"
    data = {"release": found.id, "questions": len(rows), "cost": None if price is None else price * len(rows)}
    if dry_run:
        console.answer(f"would write {said}", data, as_json)
    elif output is None:
        console.answer(sheet_csv(rows).removesuffix("\n"), sheet_json(rows), as_json, table=True)
    else:
        if output.suffix:
            raise InputError(f"--output {output} is named like a file", "Give a new folder.")
        write_sheet(output, rows)
        console.answer(f"{said}: {output}", data | {"output": str(output)}, as_json)
    return console.DONE
