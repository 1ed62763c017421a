"""Two owners' releases in one training set: is each proved, and what does the other cost it?

    python -m benchmarks.two_owners train --work W --part 0/2 &
    python -m benchmarks.two_owners train --work W --part 1/2
    python -m benchmarks.two_owners judge --work W

Each owner has half of the sample dataset and marks it by the default, with a key of their own. A model is tuned on both
copies together, and for comparison on one owner's copy with the other's unmarked original: the same pictures, the same
training. Choices of words are drawn from one list, so that the two releases may teach the same words different things.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

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
from benchmarks.wording import BATCH, LORA, loaded, tested
from detect.training.rehearse import train_suspect
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.miniature import miniature_path
from protect.release.bound import BoundRelease
from protect.release.plan import WORDING, Options
from protect.sample import unpack_sample

PASSES = 8
PAIRS = range(960, 963)
OWNERS = ("a", "b")
SETS = ("both", *OWNERS)
"""Whose copies are marked in a training set."""
TUNING = replace(LORA, precision="bf16")


def half(work: Path, owner: str) -> Path:
    """An owner's original: every other sample."""
    folder = work / f"original-{owner}"
    if not folder.exists():
        records = list(open_dataset(work / "dataset").records())[OWNERS.index(owner) :: len(OWNERS)]
        gathered(records, folder)
    return folder


def copy_of(work: Path, pair: int, owner: str) -> tuple[BoundRelease, Keyring]:
    """An owner's marked copy and keyring."""
    keyring = keyring_in(work / f"keyring-{pair}-{owner}")
    secret = secret_from_seed(pair, f"benchmark two owners {owner}")
    target = work / f"copy-{pair}-{owner}"
    return marked_copy(half(work, owner), target, Options.of(WORDING, steps=12), keyring, secret), keyring


def training_set(work: Path, pair: int, marked: str) -> Path:
    """All pictures: of each owner the copy, or the original."""
    folder = work / f"set-{pair}-{marked}"
    if not folder.exists():
        sources = [
            work / f"copy-{pair}-{owner}" if marked in ("both", owner) else half(work, owner) for owner in OWNERS
        ]
        gathered((record for source in sources for record in open_dataset(source).records()), folder)
    return folder


def prepare(work: Path) -> None:
    """The sample dataset, divided, and all copies."""
    if not (work / "dataset").exists():
        unpack_sample(work / "dataset")
    for pair in PAIRS:
        for owner in OWNERS:
            copy_of(work, pair, owner)


def train(work: Path, part: int, parts: int) -> None:
    """Train and test the models of this part."""
    for number, (pair, marked) in enumerate((pair, marked) for pair in PAIRS for marked in SETS):
        if number % parts == part:
            for row in rows_of(work, pair, marked):
                print(pair, marked, row["owner"], row["e_value"], row["p_values"], flush=True)


def model_of(work: Path, pair: int, marked: str) -> Path:
    """Where a model lies."""
    return work / f"model-{pair}-{marked}"


def rows_of(work: Path, pair: int, marked: str) -> Iterator[dict[str, Any]]:
    """One model under both owners' releases; the one whose copy it never saw may not be found in it."""
    source = training_set(work, pair, marked)
    steps = round(PASSES * sum(1 for _ in open_dataset(source).records()) / BATCH)
    target = model_of(work, pair, marked)
    train_suspect(miniature_path(), source, target, replace(TUNING, steps=steps, batch=BATCH, seed=pair))
    for owner in OWNERS:
        yield measured_once(work / "rows" / f"{pair}-{marked}-{owner}.json", partial(row, work, pair, marked, owner))


def row(work: Path, pair: int, marked: str, owner: str) -> dict[str, Any]:
    """One model under one release."""
    bound, keyring = copy_of(work, pair, owner)
    suspect = loaded(model_of(work, pair, marked), "lora", miniature_path())
    return {
        "pair": pair,
        "marked": marked,
        "owner": owner,
        "saw_it": marked in ("both", owner),
        "triggers": [slot.trigger for slot in bound.slots],
        **tested(bound, keyring, suspect, work),
    }


def judge(work: Path) -> None:
    """Collect."""
    clock = Clock()
    rows = [
        row
        for pair in PAIRS
        for marked in SETS
        if (work / "rows" / f"{pair}-{marked}-b.json").exists()
        for row in rows_of(work, pair, marked)
    ]
    kinds = {
        "beside another owner's mark": [r for r in rows if r["marked"] == "both"],
        "beside the other owner's unmarked original": [r for r in rows if r["marked"] == r["owner"]],
        "never seen": [r for r in rows if not r["saw_it"]],
    }
    write_result(
        "two_owners",
        {
            "tuning": asdict(TUNING) | {"passes": PASSES, "batch": BATCH},
            "found": {name: interval(sum(r["evidence"] for r in own), len(own)) for name, own in kinds.items() if own},
            "e_values": {name: [r["e_value"] for r in own] for name, own in kinds.items()},
            "rows": rows,
        },
        clock(),
    )


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
