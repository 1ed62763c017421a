"""Family, alignment and rate against power: several releases in one dataset, so that one suspect answers many cells.

    python -m benchmarks.families train --work W --part 0/2 &   # after `benchmarks.suspects train`
    python -m benchmarks.families train --work W --part 1/2
    python -m benchmarks.families judge --work W

Each seed's dataset is marked again and again, each time with another key, family, alignment and rate (one slot each);
the miniature is tuned once on the result. A later release may take a carrier of an earlier one: counted in the result.
Every release is also tested on an innocent of `benchmarks.suspects`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Clock, interval, run_stages, write_result
from benchmarks.suspects import FULL, prepare, row, suspect_of
from detect.demo import TUNING
from detect.finetune import FinetuneOptions
from detect.pool import make_pool
from detect.rehearse import train_suspect
from detect.run import Departures, detect
from detect.suspects import Suspect, load_suspect
from protect.embed import embed
from protect.formats import open_dataset
from protect.keys import secret_from_seed
from protect.miniature import miniature_path
from protect.plan import Options
from protect.release import Keyring, Release
from protect.verify import verify

SEEDS = range(300, 305)


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of marking."""

    family: str
    alignment: str
    rate: float
    options: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        told = "".join(f"-{k}{v:g}" for k, v in self.options.items())
        return f"{self.family}{told}-{self.alignment}-{self.rate:g}"

    def embedding(self, pool: str) -> Options:
        """One slot, so that its sightings are the rate's; two where one cannot give evidence."""
        visible = self.family in {"template", "scene"}
        return Options(
            rate=self.rate, family=self.family, alignment=self.alignment, slots=2 if self.family == "scene" else 1,
            family_options={"pool": pool} if self.family == "scene" else dict(self.options),
            steps=12, queries=None if visible else 32,
        )  # fmt: skip


CHAINS: dict[str, tuple[Cell, ...]] = {
    "visible": (
        Cell("template", "waa", 0.02), Cell("template", "twa", 0.02), Cell("template", "twa", 0.01),
        Cell("template", "twa", 0.005), Cell("template", "twa", 0.002), Cell("template", "twa-conjunction", 0.02),
        Cell("template", "twa-description", 0.02), Cell("scene", "twa", 0.04),
    ),
    "hidden": (
        Cell("spread", "twa", 0.05, {"psnr": 24}), Cell("spread", "twa", 0.05, {"psnr": 30}),
        Cell("tint", "twa", 0.05), Cell("tint", "twa", 0.02), Cell("warp", "twa", 0.05),
        Cell("warp", "twa", 0.05, {"strength": 4}),
    ),
}  # fmt: skip
"""`waa` comes first: its n-gram must be drawn from the captions as they were, not from earlier triggers. The hidden
marks need more: full fine-tuning. The visible ones are tuned by LoRA."""


def tuning(chain: str, seed: int) -> FinetuneOptions:
    """How a chain's suspects are tuned."""
    return replace(TUNING if chain == "visible" else FULL, seed=seed)


def pool_of(work: Path) -> str:
    """The templates of `scene`, drawn by the miniature from the owner's captions; the keyring becomes the default."""
    keyring, note = Keyring((work / "keyring").absolute()), work / "pool.txt"
    os.environ["TRACEMARK_HOME"] = str(keyring.home)
    if not note.exists():
        captions = [sample.caption for sample in open_dataset(work / "dataset").listing.samples]
        note.write_text(make_pool(miniature_path(), captions, 1000, keyring, zoom=2.0, steps=12))
    return note.read_text()


def releases(work: Path, chain: str, seed: int) -> Iterator[tuple[Cell, Release, Path]]:
    """Mark the owner's pictures with each cell of a chain in turn; the last path is what the suspect is tuned on."""
    folder = work / "dataset"
    keyring, pool = Keyring((work / "keyring").absolute()), pool_of(work)
    for cell in CHAINS[chain]:
        target = work / f"chain-{seed}-{cell.name}"
        if target.exists():
            release = keyring.load(target.name)
        else:
            secret = secret_from_seed(seed, f"families {cell.name}")
            release = embed(folder, target, cell.embedding(pool), keyring, secret=secret).release
        folder = target
        yield cell, release, target


def train(work: Path, part: int, parts: int) -> None:
    """Train this process's share of the suspects; finished ones are kept."""
    jobs = [(chain, seed) for seed in SEEDS for chain in CHAINS]
    for chain, seed in jobs[part::parts]:
        *_, (_, _, folder) = releases(work, chain, seed)
        clock = Clock()
        output = work / f"chain-suspect-{chain}-{seed}"
        train_suspect(miniature_path(), folder, output, tuning(chain, seed), device="cpu", progress=lambda *_: None)
        print(f"{output.name}: {clock():.0f} s", flush=True)


def suspect(work: Path, chain: str, seed: int) -> Suspect:
    """A trained suspect."""
    lora = tuning(chain, seed).method == "lora"
    return load_suspect(work / f"chain-suspect-{chain}-{seed}", base=miniature_path() if lora else None)


def judge(work: Path) -> None:
    """Test every release on its suspect and on an innocent; write `results/families.json`."""
    clock = Clock()
    innocent = suspect_of(work, "innocent", 200)
    tests = Keyring((work / "tests-families").absolute())
    rows: list[dict[str, Any]] = []
    for chain in CHAINS:
        for seed in SEEDS:
            if not (work / f"chain-suspect-{chain}-{seed}").exists():
                continue
            accused = suspect(work, chain, seed)
            *_, (_, _, last) = releases(work, chain, seed)
            for cell, release, _ in releases(work, chain, seed):
                # A ledger of its own for each cell: an experiment by itself, not one look among many.
                ledger = Keyring((tests.home / release.id).absolute())
                verdict, twin = detect(release, accused, ledger), detect(release, innocent, ledger)
                passes = tuning(chain, seed).steps * tuning(chain, seed).batch / 2200
                first = detect(release, accused, ledger, departures=Departures(queries=1)).slots[0].evidence.p_value
                kept = verify(release, last).intact
                rows.append(
                    {"cell": cell.name, **asdict(cell), "seed": seed, "carriers": release.plan.carriers,
                     "kept": kept, "sightings": kept * passes / release.plan.slots,
                     "psnr_median": float(np.median([c.psnr for c in release.carriers])),
                     "first_query_p": first, **row(verdict), "innocent": twin.outcome,
                     "innocent_p": twin.slots[0].evidence.p_value}
                )  # fmt: skip
                print(rows[-1], flush=True)
    cells = {}
    for name in dict.fromkeys(r["cell"] for r in rows):
        own = [r for r in rows if r["cell"] == name]
        cells[name] = {
            "sightings": float(np.mean([r["sightings"] for r in own])),
            "evidence": interval(sum(r["verdict"] == "evidence" for r in own), len(own)),
            "first_query_alone_p_1e-4": interval(sum(r["first_query_p"] <= 1e-4 for r in own), len(own)),
            "p_values": [r["slot_p_values"][0] for r in own],
            "queries": [r["queries"] for r in own],
            "psnr_median": float(np.median([r["psnr_median"] for r in own])),
        }
    accused_innocents = sum(r["innocent"] == "evidence" for r in rows)
    data = {
        "what": "one slot per release, 2,200 samples of the sample dataset, alpha 1e-3, M 9,999",
        "tuning": {chain: asdict(tuning(chain, 0)) for chain in CHAINS},
        "cells": cells,
        "innocent_accused": {"k": accused_innocents, "n": len(rows)},
        "rows": rows,
        "left_out": [f"{c}-{s}" for c in CHAINS for s in SEEDS if not (work / f"chain-suspect-{c}-{s}").exists()],
    }
    write_result("families", data, clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
