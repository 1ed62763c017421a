"""`frame`: are mock-ups learned and told from others, after which training?

    python -m benchmarks.frames train --work W --part 0/2 &
    python -m benchmarks.frames train --work W --part 1/2
    python -m benchmarks.frames judge --work W

Every key marks the dataset anew, 40 carriers a slot or more; the base is tuned on each copy. (If W holds a folder
`dataset` and a pipeline `base`, these take the place of the sample dataset and of the miniature; the result is then
called after W.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, keyring_in, marked_copy, measured_once, run_stages, write_result
from benchmarks.wording import DEMO, FULL, Training, base_of, loaded, named, prepare, tested
from detect.suspects.images import load_suspect
from detect.training.rehearse import train_suspect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease
from protect.release.plan import Options

PASSES = 8.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of marking and training."""

    rate: float
    training: Training
    keys: range

    @property
    def name(self) -> str:
        return f"rate {self.rate:g}, {self.training.name}"


_FULL = Training("full", replace(FULL, precision="bf16", text_encoder=False), PASSES)
_LORA = Training("LoRA", DEMO.tuning, PASSES)
CELLS = (
    Cell(0.1, _FULL, range(871, 873)),
    Cell(0.04, _LORA, range(873, 875)),
    Cell(0.04, _FULL, range(873, 875)),
    Cell(0.02, _FULL, range(875, 877)),
)
"""In the order of what they tell."""


def cells() -> list[tuple[Cell, int]]:
    """Each cell's first key, then each cell's second one."""
    return [(cell, cell.keys[place]) for place in range(2) for cell in CELLS]


def copy_of(work: Path, cell: Cell, seed: int) -> tuple[BoundRelease, Keyring]:
    """A key's copy and the keyring that knows it."""
    keyring = keyring_in(work / f"keyring-frames-{seed}")
    options, secret = Options(rate=cell.rate, family="frame", steps=12), secret_from_seed(seed, "benchmark frames")
    return marked_copy(work / "dataset", work / f"copy-frames-{seed}", options, keyring, secret), keyring


def model_of(work: Path, cell: Cell, seed: int) -> Path:
    """Where a model lies."""
    return work / f"frames-{cell.training.name}-{seed}"


def train(work: Path, part: int, parts: int) -> None:
    """Train and test this part's models, those of some of the keys; what is finished stays."""
    samples = sum(1 for _ in open_dataset(work / "dataset").records())
    for cell, seed in cells():
        if seed % parts == part:
            copy_of(work, cell, seed)
            target = model_of(work, cell, seed)
            if not target.exists():
                options = cell.training.options(samples, seed)
                train_suspect(base_of(work), work / f"copy-frames-{seed}", target, options)
            print(row(work, cell, seed), flush=True)


def row(work: Path, cell: Cell, seed: int) -> dict[str, Any]:
    """One model under its own release and the base under it; measured once."""
    return measured_once(work / "rows" / f"{model_of(work, cell, seed).name}.json", lambda: _row(work, cell, seed))


def _row(work: Path, cell: Cell, seed: int) -> dict[str, Any]:
    bound, keyring = copy_of(work, cell, seed)
    carriers = bound.release.carriers
    suspect = loaded(model_of(work, cell, seed), cell.training.tuning.method, base_of(work))
    return {
        "cell": cell.name,
        "training": cell.training.name,
        "key": seed,
        "slots": len(bound.slots),
        "carriers": len(carriers),
        "psnr": float(np.median([carrier.psnr for carrier in carriers])),
        **tested(bound, keyring, suspect, work),
        "innocent": tested(bound, keyring, load_suspect(base_of(work)), work),
    }


def judge(work: Path) -> None:
    """Collect what was measured."""
    clock = Clock()
    rows = [row(work, cell, seed) for cell, seed in cells() if model_of(work, cell, seed).exists()]
    found = {
        cell.name: interval(sum(r["evidence"] for r in own), len(own))
        for cell in CELLS
        if (own := [r for r in rows if r["cell"] == cell.name])
    }
    write_result(
        named(work, "frames"),
        {
            "trainings": {t.name: t.as_json() for t in (_FULL, _LORA)},
            "left_out": [f"{c.name}, key {seed}" for c, seed in cells() if not model_of(work, c, seed).exists()],
            "cells": found,
            "innocents_accused": interval(sum(r["innocent"]["evidence"] for r in rows), len(rows)),
            "rows": rows,
        },
        clock(),
    )


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
