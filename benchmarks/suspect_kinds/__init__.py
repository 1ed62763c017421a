"""Kinds of suspects: which are opened exactly, which are refused, and whether any is opened in part.

Tiny models of random weights stand for SD 1, SDXL, SD3 and FLUX.1. "Exactly" is judged by the weights: all of them are
compared with what the files say, by formulas that are not the loader's.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.suspect_kinds.adapters import adapter_cases, special_cases
from benchmarks.suspect_kinds.models import Case, Models
from benchmarks.suspect_kinds.refused import checkpoint_refusals, folder_refusals
from benchmarks.suspect_kinds.refused_adapters import adapter_refusals
from benchmarks.suspect_kinds.whole import checkpoint_cases, folder_cases


def all_cases() -> list[Case]:
    """Every kind."""
    opened = [*folder_cases(), *checkpoint_cases(), *adapter_cases(), *special_cases()]
    return [*opened, *folder_refusals(), *checkpoint_refusals(), *adapter_refusals()]


def measure(work: Path) -> dict[str, Any]:
    """The table, and its counts."""
    models, rows = Models(work), []
    for case in all_cases():
        rows.append(case.row(models))
        print(f"{rows[-1]['got']:24} {rows[-1]['kind']}", flush=True)
    counts = Counter(row["got"] for row in rows)
    return {
        "what": "kinds of suspects on tiny random models; exact: all weights within 1e-5 of what the formula says",
        "kinds": len(rows),
        "opened_exactly": counts["exact"],
        "refused_truly": counts["refused"],
        "opened_in_part": counts["in part"],
        "as_intended": sum(row["got"] == row["aim"] for row in rows),
        "largest_error": max(row.get("largest_error", 0.0) for row in rows),
        "rows": rows,
    }
