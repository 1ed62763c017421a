"""The standard suite on the recommended release, what was recommended before beside it, and attacked innocents.

    python -m benchmarks.robustness train --work W --part 0/2 &
    python -m benchmarks.robustness train --work W --part 1/2
    python -m benchmarks.robustness judge --work W

Cards with `twa-double`, four releases of 2 % side by side in two thirds of the sample dataset, one slot and one key each:
four tests of every model. Thieves tune the whole miniature for 200 steps. An attacked innocent learned from the unmarked
original under the same attack and is asked about the keys of several copies. For one model the keys are independent, so
each line of innocents is a binomial count; the lines share keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attacks.page import cost, cost_plot, grouped, summaries, tests
from attacks.run import Setting, bind, copy_of, run_cells, split
from attacks.suite import STANDARD, Cell, standard
from benchmarks.common import RESULTS, Clock, interval, run_stages, write_result
from benchmarks.suspects import FULL
from detect.demo import EMBEDDING
from protect.miniature import miniature_path
from protect.plan import RECOMMENDED
from protect.sample import unpack_sample

SEEDS, COPIES = (0,), range(3)
KEYS = 4
"""Releases a copy: twelve keys in three copies."""
OTHERS = [
    Cell(attack, strength, where, alignment=alignment)
    for attack, strength, where in (("none", 0.0, "training"), ("drop-new", 1.0, "prompts"), ("recaption", 1.0, "training"))
    for alignment in ("twa", "twa-description") if attack != "recaption" or alignment == "twa"
]  # fmt: skip
"""Before hardening: cards with other triggers. (What was recommended first, template with `twa`: robustness_first.json.)"""
INNOCENT = (("none", 0.0), ("recaption", 1.0), ("crop", 0.5), ("jpeg", 0.56))
"""What attacked innocents' training."""


def guilty() -> list[Cell]:
    """The standard suite by seed, then the others."""
    return [*standard(SEEDS), *OTHERS]


def innocents() -> list[Cell]:
    """Attacked in training, each with ten keys; and attacked outputs of the first."""
    trained = [Cell(attack, strength, seed=copy, innocent=True) for attack, strength in INNOCENT for copy in COPIES]
    after = [
        Cell(attack, strength, where, seed=copy, innocent=True)
        for attack, strength, where in STANDARD if where not in ("training", "model") for copy in COPIES
    ]  # fmt: skip
    return trained + after


def setting(work: Path) -> Setting:
    """What all cells share."""
    return Setting(work.with_name(work.name + "-sample"), miniature_path(), EMBEDDING, FULL, keys=KEYS)


def prepare(work: Path) -> None:
    """The sample dataset, its parts, and the marked copies that processes share."""
    sample = work.with_name(work.name + "-sample")
    if not sample.exists():
        unpack_sample(sample)
    bind(setting(work), work)
    split(sample, work)
    for cell in [*(Cell("none", 0.0, seed=copy) for copy in COPIES), *OTHERS]:
        copy_of(cell, setting(work), work, lambda *_: None)


def groups() -> list[list[Cell]]:
    """Cells that share a model, most telling first."""
    found: dict[str, list[Cell]] = {}
    for cell in dict.fromkeys([*guilty(), *innocents()]):
        found.setdefault(cell.trained.name, []).append(cell)
    return list(found.values())


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the cells; finished ones are kept."""
    for cell in itertools.chain.from_iterable(groups()[part::parts]):
        clock = Clock()
        row = run_cells([cell], setting(work), work)[0]
        print(f"{cell.name}: E = {[round(t['e_value'], 1) for t in row['tests']]}, {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Collect the cells that are there; write `results/robustness.json` and its plot."""
    clock = Clock()
    done = [c for c in [*guilty(), *innocents()] if (work / "cells" / f"{c.name}.json").exists()]
    rows = run_cells(done, setting(work), work)
    guilty_rows = [r for r in rows if not r["innocent"]]
    table = [line(own, guilty_rows) for own in grouped(guilty_rows)]
    table.sort(key=lambda r: (r["found"]["share"], min(r["e_values"])))
    write_result("robustness", {
        "what": "card, twa-double, four releases of 2 % of 1,600 samples; full fine-tune of 200 steps of 64; alpha 1e-3, M 9,999",
        "left_out": [c.name for c in [*guilty(), *innocents()] if c not in done],
        "worst_first": table,
        "innocents": [innocent_line(own) for own in grouped([r for r in rows if r["innocent"]])],
        "rows": rows,
    }, clock())  # fmt: skip
    usual = summaries([r for r in guilty_rows if r["alignment"] == RECOMMENDED.alignment])
    cost_plot(usual).savefig(RESULTS / "robustness.png", dpi=110)


def line(own: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One attack: power, and what it cost the thief beside the same key without attack."""
    first, made, costs = own[0], tests(own), [c for r in own if (c := cost(r, rows)) is not None]
    loss, distance = np.mean(costs, axis=0).tolist() if costs else (None, None)
    return {
        **{key: first[key] for key in ("attack", "strength", "where", "alignment", "psnr", "samples")},
        "found": interval(sum(t["verdict"] == "evidence" for t in made), len(made)),
        "e_values": [t["e_value"] for t in made], "p_values": [t["p_values"] for t in made],
        "queries": [t["queries"] for t in made], "denoising_loss_rise": loss, "kernel_distance_rise": distance,
    }  # fmt: skip


def innocent_line(own: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One attack on innocents: how often accused, and how often p is small."""
    made = tests(own)
    p_values = [t["p_values"][0] for t in made if t["p_values"]]
    return {
        **{key: own[0][key] for key in ("attack", "strength", "where")},
        "accused": interval(sum(t["verdict"] == "evidence" for t in made), len(made)),
        "p at most 0.05": interval(sum(p <= 0.05 for p in p_values), len(p_values)), "p_values": p_values,
    }  # fmt: skip


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
