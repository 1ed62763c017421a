"""How visible, how frequent must a `spread` mark be to be learned? Failures are results.

    python -m benchmarks.spread_frontier train --work W --part 0/2 &
    python -m benchmarks.spread_frontier train --work W --part 1/2
    python -m benchmarks.spread_frontier judge --work W

One key and one slot per cell, on the owner's 2,200 pictures of `benchmarks.suspects`; the tuning of that script.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.common import Clock, keyring_in, run_stages, write_result
from benchmarks.suspects import FULL, prepare, release_of, row
from detect.suspects.images import load_suspect
from detect.training.rehearse import train_suspect
from detect.trial.judge import detect
from protect.miniature import miniature_path
from protect.release.plan import Options


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting."""

    psnr: float
    rate: float
    steps: int

    @property
    def number(self) -> int:
        """Seed and folder name."""
        return int(self.psnr) * 10_000 + round(self.rate * 100) * 10 + self.steps // 200

    def options(self) -> Options:
        """How to embed it."""
        return Options(
            rate=self.rate, family="spread", family_options={"psnr": self.psnr}, slots=1, queries=64, steps=12
        )


CELLS = (
    Cell(24, 0.2, 200),
    Cell(38, 0.2, 200),
    Cell(24, 0.02, 200),
    Cell(30, 0.2, 200),
    Cell(30, 1.0, 200),
    Cell(38, 1.0, 200),
    Cell(42, 1.0, 200),
    Cell(30, 0.2, 800),
    Cell(38, 0.2, 800),
    Cell(24, 0.05, 800),
)
"""The most telling first; what was not trained is named in the result."""


def train(work: Path, part: int, parts: int) -> None:
    """Train this process's share of the cells."""
    for cell in CELLS[part::parts]:
        release_of(work, cell.number, cell.options())
        clock = Clock()
        tuning = replace(FULL, steps=cell.steps, seed=cell.number)
        train_suspect(
            miniature_path(),
            work / f"protected-{cell.number}",
            work / f"spread-{cell.number}",
            tuning,
        )
        print(f"{cell}: {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Test the trained cells and write `results/spread_frontier.json`."""
    clock = Clock()
    rows = []
    for cell in CELLS:
        if not (work / f"spread-{cell.number}").exists():
            continue
        bound = release_of(work, cell.number, cell.options())
        suspect = load_suspect(work / f"spread-{cell.number}")
        verdict = detect(bound, suspect, keyring_in(work / "tests"), work / "cache")
        passes = cell.steps * FULL.batch / 2200
        rows.append(
            {
                "psnr": cell.psnr,
                "rate": cell.rate,
                "passes": passes,
                "exposures": len(bound.release.carriers) * passes,
                "carrier_psnr_median": float(np.median([c.psnr for c in bound.release.carriers])),
                **row(verdict),
            }
        )
        print(rows[-1], flush=True)
    left_out = [
        f"{c.psnr:g} dB, rate {c.rate}, {c.steps} steps" for c in CELLS if not (work / f"spread-{c.number}").exists()
    ]
    write_result(
        "spread_frontier",
        {"tuning": "full fine-tuning as in benchmarks.suspects", "cells": rows, "left_out": left_out},
        clock(),
    )


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
