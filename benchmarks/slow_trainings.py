"""Slow trainings: where does a choice of words begin to be found, where a visible mark?

    python -m benchmarks.slow_trainings train --work W --part 0/2 &
    python -m benchmarks.slow_trainings train --work W --part 1/2
    python -m benchmarks.slow_trainings judge --work W

Each key's dataset is marked three times, one release upon the other, so that one model answers for all of them: by
`lean` with `wording` at rate 1/2, by `template` and by `frame` at rate .02 each. A later release may take a carrier of
an earlier one. The base is tuned on the result in ways from the quick to the slow, and of each model it is measured how
far it learned its captions. (If W holds a folder `dataset` and a pipeline `base`, these take the place of the sample
dataset and of the miniature; the result is then called after W.)
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.common import Clock, interval, keyring_in, marked_in_turn, measured_once, run_stages, write_result
from benchmarks.wording import (
    DEMO,
    FULL,
    HALF,
    SLOW,
    Training,
    base_of,
    copy_of,
    learned,
    loaded,
    named,
    tested,
)
from benchmarks.wording import prepare as prepare_dataset
from detect.suspects.images import load_suspect
from detect.training.rehearse import train_suspect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease
from protect.release.plan import Options

KEYS = range(810, 812)
PASSES = 8.0
PAINTED = ("template", "frame")
RELEASES = ("wording", *PAINTED)
_ATTENTION = replace(SLOW, precision="bf16")
_FROZEN = replace(FULL, precision="bf16", text_encoder=False)
TRAININGS = (
    Training("all layers, rank 16, lr 3e-3, text encoder too", DEMO.tuning, PASSES),
    Training("full, lr 1e-4", replace(_FROZEN, learning_rate=1e-4), PASSES),
    Training("attention, rank 16, lr 1e-3", _ATTENTION, PASSES),
    Training("full, lr 1e-3", _FROZEN, PASSES),
    Training("attention, rank 64, lr 1e-3", replace(_ATTENTION, rank=64), PASSES),
    Training("attention, rank 4, lr 1e-3", replace(_ATTENTION, rank=4), PASSES),
    Training("full, lr 3e-4", replace(_FROZEN, learning_rate=3e-4), PASSES),
    Training("attention, rank 16, lr 1e-4", replace(_ATTENTION, learning_rate=1e-4), PASSES),
)
"""In the order of what they tell. The text encoder learns only where it is said."""


def releases_of(work: Path, seed: int) -> dict[str, tuple[BoundRelease, Keyring]]:
    """All releases of a key's dataset with the keyrings that know them: its choice of words, then painted marks."""
    found, keyrings = copy_of(work, HALF, seed), [keyring_in(work / f"keyring-{name}-{seed}") for name in PAINTED]
    options = [Options(rate=0.02, family=family, alignment="twa-double", steps=12) for family in PAINTED]
    copies = [work / f"copy-{family}-{seed}" for family in PAINTED]
    secrets = [secret_from_seed(seed, f"slow trainings {family}") for family in PAINTED]
    steps = zip(copies, options, keyrings, secrets, strict=True)
    painted = zip(marked_in_turn(work / f"copy-{HALF.name}-{seed}", steps), keyrings, strict=True)
    return {"wording": found, **dict(zip(PAINTED, painted, strict=True))}


def prepare(work: Path) -> None:
    """The dataset and the marked copies, before processes share the work: two must not write one copy."""
    prepare_dataset(work)
    for seed in KEYS:
        releases_of(work, seed)


def model_of(work: Path, training: Training, seed: int) -> Path:
    """Where a model lies."""
    return work / f"slow-{training.name.replace(', ', '-').replace(' ', '-')}-{seed}"


def train(work: Path, part: int, parts: int) -> None:
    """Train and test this part's models; what is finished stays."""
    samples = sum(1 for _ in open_dataset(work / "dataset").records())
    for number, (seed, training) in enumerate((seed, training) for seed in KEYS for training in TRAININGS):
        if number % parts == part:
            source, target = work / f"copy-{PAINTED[-1]}-{seed}", model_of(work, training, seed)
            if not target.exists():
                train_suspect(base_of(work), source, target, training.options(samples, seed))
            print(row(work, training, seed), flush=True)


def row(work: Path, training: Training, seed: int) -> dict[str, Any]:
    """One model under all its releases; measured once."""
    path = work / "rows" / f"{model_of(work, training, seed).name}.json"
    return measured_once(path, lambda: _row(work, training, seed))


def _row(work: Path, training: Training, seed: int) -> dict[str, Any]:
    model, base = model_of(work, training, seed), base_of(work)
    suspect = loaded(model, training.tuning.method, base)
    found: dict[str, Any] = {}
    for name, (bound, keyring) in releases_of(work, seed).items():
        found[name] = {
            "slots": len(bound.slots),
            "carriers": len(bound.release.carriers),
            **tested(bound, keyring, suspect, work),
        }
    bound, keyring = copy_of(work, HALF, seed)
    found["wording"]["reference"] = tested(bound, keyring, suspect, work, load_suspect(base))
    return {
        "training": training.name,
        "key": seed,
        "taught": [slot.questions.taught for slot in bound.slots],
        "captions_learned": learned(model, work / f"copy-{PAINTED[-1]}-{seed}", base),
        "found": found,
    }


def judge(work: Path) -> None:
    """Collect what was measured."""
    clock = Clock()
    cells = [(training, seed) for training in TRAININGS for seed in KEYS]
    rows = [row(work, training, seed) for training, seed in cells if model_of(work, training, seed).exists()]
    told = {}
    for training in TRAININGS:
        if own := [one["found"] for one in rows if one["training"] == training.name]:
            told[training.name] = {name: interval(sum(f[name]["evidence"] for f in own), len(own)) for name in RELEASES}
    write_result(
        named(work, "slow_trainings"),
        {
            "trainings": {t.name: t.as_json() for t in TRAININGS},
            "left_out": [f"{t.name}, key {seed}" for t, seed in cells if not model_of(work, t, seed).exists()],
            "cells": told,
            "rows": rows,
        },
        clock(),
    )


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
