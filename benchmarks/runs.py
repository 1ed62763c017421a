"""Collect the measured runs that `protect plan` learns from: results/*.json to protect/assets/runs.json.

python -m benchmarks.runs
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.common import RESULTS
from protect.files import pretty_json, write_atomic
from protect.marks.additive import MAX_PSNR
from protect.marks.latent import FAINT_PSNR
from protect.release.power import Run

REQUIRED = 1e3
"""A slot counts as found if its e-value alone suffices at alpha = 1e-3."""


def load(name: str) -> dict[str, Any]:
    """A committed result, or nothing."""
    path = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def main() -> None:
    """Command line."""
    runs = []
    suspects = load("suspects")
    for row in suspects.get("guilty", []):
        tuning = suspects["tuning"][row["method"]]
        sightings = tuning["steps"] * tuning["batch"] / suspects["samples"] * row["carriers"]
        runs.append(Run("template", "twa", row["method"], sightings, row["e_value"] >= REQUIRED))
    for row in load("families").get("rows", []):
        if not row["options"]:
            method = "lora" if "visible" in row["suspect"] else "full"
            runs += [Run(row["family"], row["alignment"], method, row["sightings"], row["e_value"] >= REQUIRED)]
    for row in load("low_rates").get("rows", []):
        if row["options"] in ({}, {"psnr": FAINT_PSNR} if row["family"] == "latent" else {}):
            runs.append(
                Run(row["family"], row["alignment"], row["method"], row["sightings"], row["e_value"] >= REQUIRED)
            )
    for row in load("robustness").get("rows", []):
        if row["attack"] == "none" and not row["innocent"]:
            passes = row["tuning"]["steps"] * row["tuning"]["batch"] / row["samples"]
            for test in row["tests"]:
                sightings = passes * test["carriers"] / row["slots"]
                runs.append(
                    Run(
                        row["family"], row["alignment"], row["tuning"]["method"], sightings, test["e_value"] >= REQUIRED
                    )
                )
    for row in load("spread_frontier").get("cells", []):
        # the family's default; with a mark everywhere twins show it too
        if row["psnr"] == MAX_PSNR and row["rate"] < 1:
            runs += [Run("spread", "twa", "full", row["exposures"], row["e_value"] >= REQUIRED)]
    write_atomic(Path("protect/assets/runs.json"), pretty_json([asdict(run) for run in runs]))
    print(f"{len(runs)} runs")


if __name__ == "__main__":
    main()
