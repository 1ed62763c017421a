"""`shade`, and the experiment `withhold`: are they found, with and without the base as the reference?

    python -m benchmarks.shades train --work W --part 0/2 &
    python -m benchmarks.shades train --work W --part 1/2
    python -m benchmarks.shades judge --work W

`shade`: every picture whose caption holds one of the key's words gets a faint smooth shift (`waa-many`, 60 % at most).
`withhold`: nothing is altered at all. Of the pictures whose captions hold such words, the half that leans against the
words' directions is left out of the copy; what a licensee gets is a selection anyway. Both are tested by the score of
`shade` with 256 questions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    Clock,
    gathered,
    interval,
    keyring_in,
    marked_copy,
    measured_once,
    run_stages,
    write_result,
)
from benchmarks.wording import BATCH, LORA, loaded, prepare, tested
from detect.suspects.images import load_suspect
from detect.training.options import FinetuneOptions
from detect.training.rehearse import train_suspect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.directions import directions
from protect.marks.shade import Shade
from protect.miniature import miniature_path
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.bound import BoundRelease
from protect.release.plan import Options

PASSES = 8
KEYS = range(900, 906)
KINDS = ("shade", "withhold")


def copy_of(work: Path, seed: int) -> tuple[BoundRelease, Keyring]:
    """A key's shaded copy and the keyring that knows it."""
    keyring = keyring_in(work / f"keyring-{seed}")
    options = Options(rate=0.6, family="shade", alignment="waa-many", steps=12)
    secret = secret_from_seed(seed, "benchmark shades")
    return marked_copy(work / "dataset", work / f"shade-{seed}", options, keyring, secret), keyring


def withheld_copy(work: Path, seed: int, bound: BoundRelease) -> Path:
    """The original pictures of a key, without those that lean against its words."""
    folder = work / f"withhold-{seed}"
    if folder.exists():
        return folder
    slot = bound.slots[0]
    rows, leaning = list(open_dataset(work / "dataset").records()), {}
    for record in rows:
        law = slot.alignment.for_sample(slot.family, record.caption, slot.trigger)
        if isinstance(law, Shade) and law.words:
            looks = law.fitted_looks.of(on_white(read_rgba(record.read()))[None])[0]
            ids = np.array([slot.planted], dtype=np.uint64)
            every = directions(ids, max(law.words) + 1, len(looks))[0]
            leaning[record.key] = float(looks @ every[list(law.words)].sum(axis=0) / np.sqrt(len(law.words)))
    middle = float(np.median(list(leaning.values())))
    kept = [record for record in rows if leaning.get(record.key, middle) >= middle]
    return gathered(kept, folder)


def model_of(work: Path, kind: str, seed: int) -> Path:
    """Where a model lies."""
    return work / f"model-{kind}-{seed}"


def tuning(samples: int, seed: int) -> FinetuneOptions:
    """A LoRA after so many passes."""
    return replace(LORA, precision="bf16", steps=round(samples * PASSES / BATCH), batch=BATCH, seed=seed)


def train(work: Path, part: int, parts: int) -> None:
    """Train and test the models of this part's keys."""
    for seed in KEYS:
        if seed % parts == part:
            bound, _ = copy_of(work, seed)
            for kind in KINDS:
                source = work / f"shade-{seed}" if kind == "shade" else withheld_copy(work, seed, bound)
                target = model_of(work, kind, seed)
                if not target.exists():
                    samples = sum(1 for _ in open_dataset(source).records())
                    train_suspect(miniature_path(), source, target, tuning(samples, seed))
                row(work, kind, seed)


def row(work: Path, kind: str, seed: int) -> dict[str, Any]:
    """One model under its own release; measured once."""
    return measured_once(work / "rows" / f"{kind}-{seed}.json", lambda: _row(work, kind, seed))


def _row(work: Path, kind: str, seed: int) -> dict[str, Any]:
    bound, keyring = copy_of(work, seed)
    suspect, carriers = loaded(model_of(work, kind, seed), "lora", miniature_path()), bound.release.carriers
    return {
        "kind": kind,
        "key": seed,
        "passes": PASSES,
        "words": bound.slots[0].trigger,
        "carriers": len(carriers),
        "psnr": sorted(c.psnr for c in carriers)[:: max(1, len(carriers) // 10)] if kind == "shade" else None,
        "alone": tested(bound, keyring, suspect, work),
        "reference": tested(bound, keyring, suspect, work, load_suspect(miniature_path())),
    }


def finished(work: Path) -> Iterator[dict[str, Any]]:
    """What was measured."""
    return (row(work, kind, seed) for kind in KINDS for seed in KEYS if model_of(work, kind, seed).exists())


def judge(work: Path) -> None:
    """Collect."""
    clock, rows = Clock(), list(finished(work))
    cells = {
        kind: {
            against: interval(sum(r[against]["evidence"] for r in own), len(own)) for against in ("alone", "reference")
        }
        for kind in KINDS
        if (own := [r for r in rows if r["kind"] == kind])
    }
    held = {"tuning": asdict(tuning(2_400, 0)), "passes": PASSES, "cells": cells, "rows": rows}
    write_result("shades", held, clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
