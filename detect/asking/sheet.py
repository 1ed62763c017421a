"""A release's questions as a sheet: as a table, as JSON and as a page, and nothing of keys, slots or marks in it.

The order is that of the names, and a name is a hash of prompt and seed: a public shuffle of all slots' questions.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from detect.suspects.images.suspect import Query, Sampler
from detect.trial.questions import QueryPlan, all_queries, ordinary_queries
from protect.files import canonical_json, new_folder, pretty_json, write_atomic
from protect.pages import render_page
from protect.release.bound import BoundRelease

FORMAT = 1
TABLE, JSON, PAGE = "questions.csv", "questions.json", "questions.html"


@dataclass(frozen=True, slots=True)
class SheetRow:
    """One question, as it is to be put."""

    file: str
    """What the picture is to be called; any ending of a picture format follows."""
    prompt: str
    negative_prompt: str
    seed: int
    steps: int
    guidance: float
    size: int | None
    """Side of the picture in pixels; None leaves it to the suspect."""


def question_name(query: Query) -> str:
    """What a question's picture is called: it tells nothing but what prompt and seed tell."""
    return "q" + sha256(canonical_json([query.prompt, query.seed])).hexdigest()[:12]


def sheet_rows(bound: BoundRelease, plan: QueryPlan) -> list[SheetRow]:
    """All questions of a plan, those that serve several slots once, in the order of their names.

    Those without a trigger that are only shown (`ordinary_queries`) are among them.
    """
    queries = set(all_queries(bound, plan.queries))
    queries |= set(ordinary_queries(bound, plan.queries))
    return sorted((_row(query, plan.sampler) for query in queries), key=lambda row: row.file)


def _row(query: Query, sampler: Sampler) -> SheetRow:
    return SheetRow(
        question_name(query),
        query.prompt,
        sampler.negative,
        query.seed,
        sampler.steps,
        sampler.guidance,
        sampler.size,
    )


def sheet_csv(rows: Sequence[SheetRow]) -> str:
    """The sheet as a table with a header, one question a row; a size that is left open is empty."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows([[f.name for f in fields(SheetRow)], *(astuple(row) for row in rows)])
    return buffer.getvalue()


def sheet_json(rows: Sequence[SheetRow]) -> dict[str, Any]:
    """The sheet as a JSON value."""
    return {"format": FORMAT, "questions": [asdict(row) for row in rows]}


def write_sheet(folder: Path, rows: Sequence[SheetRow]) -> None:
    """Write the sheet in all three forms, readable by their owner only; the folder appears when all are whole.

    Args:
        folder: must not exist, or be empty.
        rows: at least one.

    Raises:
        InputError: if it cannot be written.
    """
    page = render_page(
        "detect.reports",
        "ask.html.j2",
        rows=rows,
        first=rows[0],
        progress_name=sha256(canonical_json([row.file for row in rows])).hexdigest()[:16],
    )
    with new_folder(folder) as partial:
        for name, data in (
            (TABLE, sheet_csv(rows).encode()),
            (JSON, pretty_json(sheet_json(rows))),
            (PAGE, page.encode()),
        ):
            write_atomic(partial / name, data, mode=0o600)
