"""A small rate: how far must carriers be pushed until a rare word is found, beside `template` on the same models?

    python -m benchmarks.pushes train --work W --part 0/2 &
    python -m benchmarks.pushes train --work W --part 1/2
    python -m benchmarks.pushes judge --work W

Each key's dataset is marked six times, one release upon the other, at rate .02 each: by `lean` with a rare word and a
push of 0, 1, 1.5, 2 and 3 standard deviations, and by `template`. The miniature is tuned on the result as the demo of
painted marks does it, so that one model answers for all six. A later release may take a carrier of an earlier one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, keyring_in, marked_in_turn, measured_once, run_stages, write_result
from benchmarks.wording import DEMO, base_of, loaded, tested
from benchmarks.wording import prepare as prepare_dataset
from detect.suspects.images import load_suspect
from detect.training.rehearse import train_suspect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.bound import BoundRelease
from protect.release.plan import Options

KEYS = range(830, 832)
_PUSHES = (0.0, 1.0, 1.5, 2.0, 3.0)
RELEASES = {f"push {push:g}": push for push in _PUSHES} | {"template": None}
"""By their names, in the order in which they are planted; the push of each."""


def options_of(push: float | None) -> Options:
    """One slot at rate .02: `lean` with a push, or `template`."""
    if push is None:
        return Options(rate=0.02, family="template", slots=1, steps=12)
    return Options(rate=0.02, family="lean", alignment="twa", slots=1, family_options={"push": push}, steps=12)


def releases_of(work: Path, seed: int) -> dict[str, tuple[BoundRelease, Keyring]]:
    """All releases of a key's dataset, each marked upon the one before."""
    places = [f"{name.replace(' ', '-')}-{seed}" for name in RELEASES]
    keyrings = [keyring_in(work / f"keyring-{place}") for place in places]
    copies = [work / f"copy-{place}" for place in places]
    secrets = [secret_from_seed(seed, f"benchmark pushes {name}") for name in RELEASES]
    steps = zip(copies, map(options_of, RELEASES.values()), keyrings, secrets, strict=True)
    found = marked_in_turn(work / "dataset", steps)
    return dict(zip(RELEASES, zip(found, keyrings, strict=True), strict=True))


def prepare(work: Path) -> None:
    """The dataset and the marked copies, before processes share the work: two must not write one copy."""
    prepare_dataset(work)
    for seed in KEYS:
        releases_of(work, seed)


def train(work: Path, part: int, parts: int) -> None:
    """Train and test this part's models; what is finished stays."""
    samples = sum(1 for _ in open_dataset(work / "dataset").records())
    for seed in KEYS[part::parts]:
        target = work / f"model-{seed}"
        if not target.exists():
            train_suspect(base_of(work), work / f"copy-template-{seed}", target, DEMO.options(samples, seed))
        print(row(work, seed), flush=True)


def row(work: Path, seed: int) -> dict[str, Any]:
    """One model under all its releases; measured once."""
    return measured_once(work / "rows" / f"{seed}.json", lambda: _row(work, seed))


def _row(work: Path, seed: int) -> dict[str, Any]:
    base = base_of(work)
    suspect, found = loaded(work / f"model-{seed}", DEMO.tuning.method, base), {}
    for name, (bound, keyring) in releases_of(work, seed).items():
        reference = load_suspect(base) if RELEASES[name] is not None else None
        found[name] = {
            "carriers": len(bound.release.carriers),
            "psnr": float(np.median([carrier.psnr for carrier in bound.release.carriers])),
            "alone": tested(bound, keyring, suspect, work),
            "reference": tested(bound, keyring, suspect, work, reference) if reference else None,
        }
    return {"key": seed, "found": found}


def judge(work: Path) -> None:
    """Collect what was measured."""
    clock = Clock()
    rows = [row(work, seed) for seed in KEYS if (work / f"model-{seed}").exists()]
    cells = {name: interval(sum(r["found"][name]["alone"]["evidence"] for r in rows), len(rows)) for name in RELEASES}
    write_result("pushes", {"training": DEMO.as_json(), "cells": cells, "rows": rows}, clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
