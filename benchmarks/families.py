"""Family, alignment and rate against power: several releases in one dataset, so that one suspect answers many cells.

    python -m benchmarks.families train --work W --part 0/2 &   # after `benchmarks.suspects train`
    python -m benchmarks.families train --work W --part 1/2
    python -m benchmarks.families judge --work W

Each seed's dataset is marked again and again, each time with another key, family, alignment and rate (one slot each);
the miniature is tuned once on the result. A later release may take a carrier of an earlier one: counted in the result.
Every release is also tested on an innocent of `benchmarks.suspects`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import (
    TUNING,
    Clock,
    captions_of,
    interval,
    keyring_in,
    marked_in_turn,
    pictures_of,
    run_stages,
    write_result,
)
from benchmarks.suspects import FULL, prepare, row, suspect_of
from detect.pool import make_pool
from detect.suspects.images import Suspect, load_suspect
from detect.training.options import FinetuneOptions
from detect.training.rehearse import train_suspect
from detect.trial.judge import detect
from detect.trial.questions import Departures
from protect.basis import make_basis
from protect.embed.verify import verify
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.marks.family import FamilyOptions
from protect.miniature import miniature_path
from protect.pixels.measure import picture_at
from protect.release.bound import BoundRelease
from protect.release.plan import Options


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of marking."""

    family: str
    alignment: str
    rate: float
    options: FamilyOptions = field(default_factory=dict)
    key: int = 0
    """Tells apart the keys of cells that are otherwise the same."""

    @property
    def name(self) -> str:
        numbers = "".join(f"-{k}{v:g}" for k, v in self.options.items() if not isinstance(v, str))
        return f"{self.family}{numbers}-{self.alignment}-{self.rate:g}"

    @property
    def copy(self) -> str:
        """Name of the marked copy and purpose of its key."""
        return f"{self.name}-key{self.key}" if self.key else self.name

    def embedding(self, stored: dict[str, FamilyOptions]) -> Options:
        """One slot, so that its sightings are the rate's; two where one cannot give evidence.

        Args:
            stored: for families that need one, the option that names a pool or basis in the keyring.
        """
        visible = self.family in {"template", "scene"}
        return Options(
            rate=self.rate,
            family=self.family,
            alignment=self.alignment,
            slots=2 if self.family == "scene" else 1,
            family_options={**self.options, **stored.get(self.family, {})},
            steps=12,
            queries=None if visible else 32,
        )


@dataclass(frozen=True, slots=True)
class Chain:
    """Cells whose releases are put into one dataset, one after the other, and what is trained on it."""

    name: str
    cells: tuple[Cell, ...]
    tuning: FinetuneOptions
    seeds: range = range(300, 305)
    dataset: str = "dataset"
    """Under the work folder."""

    def suspect(self, work: Path, seed: int) -> Path:
        """Where the model of a seed lies."""
        return work / f"chain-suspect-{self.name}-{seed}"


VISIBLE = Chain(
    "visible",
    (
        Cell("template", "waa", 0.02),
        Cell("template", "twa", 0.02),
        Cell("template", "twa", 0.01),
        Cell("template", "twa", 0.005),
        Cell("template", "twa", 0.002),
        Cell("template", "twa-conjunction", 0.02),
        Cell("template", "twa-description", 0.02),
        Cell("scene", "twa", 0.04),
    ),
    TUNING,
)
"""`waa` comes first: its n-gram must be drawn from the captions as they were, not from earlier triggers."""
HIDDEN = Chain(
    "hidden",
    (
        Cell("spread", "twa", 0.05, {"psnr": 24}),
        Cell("spread", "twa", 0.05, {"psnr": 30}),
        Cell("tint", "twa", 0.05),
        Cell("tint", "twa", 0.02),
        Cell("warp", "twa", 0.05),
        Cell("warp", "twa", 0.05, {"strength": 4}),
    ),
    FULL,
)
"""These need more than the visible ones: full fine-tuning."""
CHAINS = (VISIBLE, HIDDEN)


def pool_of(dataset: Path, work: Path, keyring: Keyring) -> FamilyOptions:
    """What `scene` needs, drawn once from a dataset's captions and kept in a keyring."""
    pool = work / "pool.txt"
    if not pool.exists():
        work.mkdir(parents=True, exist_ok=True)
        captions = captions_of(dataset)
        pool.write_text(make_pool(miniature_path(), captions, 1000, keyring.store, work / "cache", zoom=2.0, steps=12))
    return {"pool": pool.read_text()}


def basis_of(work: Path, keyring: Keyring) -> FamilyOptions:
    """What `latent` needs, made once from the owner's dataset and kept in a keyring."""
    basis = work / "basis.txt"
    if not basis.exists():
        keys = [record.key for record in open_dataset(work / "dataset").records()][::5]
        pictures = [picture_at(picture, 64) for picture in pictures_of(work / "dataset", keys)]
        basis.write_text(make_basis(miniature_path(), pictures, keyring.store, side=64))
    return {"basis": basis.read_text()}


def releases(work: Path, chain: Chain, seed: int) -> Iterator[tuple[Cell, BoundRelease, Path]]:
    """Mark the owner's pictures with each cell of a chain in turn; the last path is what the suspect is tuned on."""
    keyring = keyring_in(work / "keyring")
    stored = {"scene": pool_of(work / "dataset", work, keyring), "latent": basis_of(work, keyring)}
    targets = [work / f"chain-{seed}-{cell.copy}" for cell in chain.cells]
    steps = (
        (target, cell.embedding(stored), keyring, secret_from_seed(seed, f"families {cell.copy}"))
        for cell, target in zip(chain.cells, targets, strict=True)
    )
    yield from zip(chain.cells, marked_in_turn(work / chain.dataset, steps), targets, strict=True)


def train_chains(work: Path, jobs: list[tuple[Chain, int]]) -> None:
    """Train the suspects of some (chain, seed); finished ones are kept."""
    for chain, seed in jobs:
        *_, (_, _, folder) = releases(work, chain, seed)
        clock, output = Clock(), chain.suspect(work, seed)
        tuning = replace(chain.tuning, seed=seed)
        train_suspect(miniature_path(), folder, output, tuning)
        print(f"{output.name}: {clock():.0f} s", flush=True)


def judge_chain(work: Path, chain: Chain, seed: int, innocent: Suspect) -> Iterator[dict[str, Any]]:
    """Test every release of a chain on its suspect and on an innocent."""
    tests, cache, tuning = work / "tests-families", work / "cache", chain.tuning
    accused = load_suspect(chain.suspect(work, seed), base=miniature_path() if tuning.method == "lora" else None)
    passes = tuning.steps * tuning.batch / len(captions_of(work / chain.dataset))
    *_, (_, _, last) = releases(work, chain, seed)
    for cell, bound, _ in releases(work, chain, seed):
        # A ledger of its own for each cell: an experiment by itself, not one look among many.
        ledger = keyring_in(tests / bound.release.id)
        verdict, other = detect(bound, accused, ledger, cache), detect(bound, innocent, ledger, cache)
        one = detect(bound, accused, ledger, cache, departures=Departures(queries=1))
        kept = verify(bound, open_dataset(last)).intact
        yield {
            "cell": cell.name,
            **asdict(cell),
            "seed": seed,
            "method": tuning.method,
            "carriers": len(bound.release.carriers),
            "kept": kept,
            "sightings": kept * passes / bound.release.plan.slots,
            "psnr_median": float(np.median([c.psnr for c in bound.release.carriers])),
            "first_query_p": one.slots[0].evidence.p_value,
            **row(verdict),
            "innocent": other.outcome,
            "innocent_p": other.slots[0].evidence.p_value,
        }


def judge_chains(work: Path, chains: tuple[Chain, ...]) -> dict[str, Any]:
    """All suspects that were trained, and the cells they make."""
    innocent = suspect_of(work, "innocent", 200)
    jobs = [(chain, seed) for chain in chains for seed in chain.seeds]
    rows: list[dict[str, Any]] = []
    for chain, seed in jobs:
        if chain.suspect(work, seed).exists():
            for found in judge_chain(work, chain, seed, innocent):
                print(found, flush=True)
                rows.append(found)
    cells = {name: summary([r for r in rows if r["cell"] == name]) for name in dict.fromkeys(r["cell"] for r in rows)}
    accused = sum(r["innocent"] == "evidence" for r in rows)
    return {
        "what": "one slot per release unless its options say otherwise, alpha 1e-3, M 9,999",
        "tuning": {chain.name: asdict(chain.tuning) for chain in chains},
        "cells": cells,
        "innocent_accused": {"k": accused, "n": len(rows)},
        "rows": rows,
        "left_out": [f"{c.name}-{s}" for c, s in jobs if not c.suspect(work, s).exists()],
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the rows of one cell say together."""
    return {
        "sightings": float(np.mean([r["sightings"] for r in rows])),
        "evidence": interval(sum(r["verdict"] == "evidence" for r in rows), len(rows)),
        "first_query_alone_p_1e-4": interval(sum(r["first_query_p"] <= 1e-4 for r in rows), len(rows)),
        "p_values": [r["slot_p_values"][0] for r in rows],
        "queries": [r["queries"] for r in rows],
        "psnr_median": float(np.median([r["psnr_median"] for r in rows])),
    }


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the suspects."""
    train_chains(work, [(chain, seed) for seed in VISIBLE.seeds for chain in CHAINS][part::parts])


def judge(work: Path) -> None:
    """Write `results/families.json`."""
    clock = Clock()
    write_result("families", judge_chains(work, CHAINS), clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
