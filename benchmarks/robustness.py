"""The standard suite on the recommended release, what was recommended before beside it, and attacked innocents.

    python -m benchmarks.robustness train --work W --part 0/2 &
    python -m benchmarks.robustness train --work W --part 1/2
    python -m benchmarks.robustness judge --work W

Templates with `twa-double`, four releases of 2 % side by side in two thirds of the sample dataset, one slot and one key
each: four tests of every model; part of the suite with a second copy and model. Thieves tune the whole miniature for
200 steps. An attacked innocent learned from the unmarked original under the same attack and is asked about the keys of
several copies. For one model the keys are independent, so each line of innocents is a binomial count; the lines share
keys.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
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

COPIES, KEYS = range(3), 4
"""Copies about whose keys innocents are asked, releases a copy."""
AGAIN = ("none", "recaption", "mix", "continue", "merge-base", "shuffle", "refuse")
"""What is measured on a second model, with four further keys: where the first model left some keys hardly found."""
FILTERS = ("drop-outliers", "drop-losses", "drop-clusters", "drop-rings", "drop-described", "deduplicate")
"""These are measured with one release a copy: side by side, carriers would be less odd than they are."""
CARDS = [
    Cell(attack, strength, where, family="card")
    for attack, strength, where in (
        ("none", 0.0, "training"), ("drop-outliers", 0.25, "training"), ("drop-clusters", 0.5, "training"),
        ("drop-losses", 0.5, "training"), ("recaption", 1.0, "training"), ("mix", 1 / 3, "training"),
        ("deduplicate", 0.4, "training"), ("continue", 0.5, "model"), ("shuffle", 1.0, "prompts"),
    )
]  # fmt: skip
"""What is offered against filters, with one release a copy too."""
CARDS_AGAIN = (
    "none", "recaption", "mix", "crop", "continue", "merge-other", "merge-base", "shuffle", "paraphrase",
    "drop-repeats", "refuse",
)  # fmt: skip
"""What cards go through once more, four releases side by side (seed 1): is the default the better one?"""
INNOCENT = (("none", 0.0), ("recaption", 1.0))
"""What attacked innocents' training."""


def guilty() -> list[Cell]:
    """The standard suite, part of it once more, then cards: alone in their dataset, and side by side."""
    again = standard((1,))
    return [
        *standard((0,)), *(cell for cell in again if cell.attack in AGAIN), *CARDS,
        *(replace(cell, family="card") for cell in again if cell.attack in CARDS_AGAIN),
    ]  # fmt: skip


def innocents() -> list[Cell]:
    """Attacked in training, each with the keys of three copies; and attacked outputs of the first."""
    trained = [Cell(attack, strength, seed=copy, innocent=True) for attack, strength in INNOCENT for copy in COPIES]
    after = [
        Cell(attack, strength, where, seed=copy, innocent=True)
        for attack, strength, where in STANDARD if where not in ("training", "model") for copy in COPIES
    ]  # fmt: skip
    return trained + after


def place(cell: Cell, work: Path) -> tuple[Setting, Path]:
    """What a cell shares with others, and the folder where."""
    alone = cell.attack in FILTERS or cell in CARDS
    sample = work.with_name(work.name + "-sample")
    shared = Setting(sample, miniature_path(), EMBEDDING, FULL, keys=1 if alone else KEYS)
    return shared, work / ("alone" if alone else "side-by-side")


def prepare(work: Path) -> None:
    """The sample dataset, its parts, and the marked copies that processes share."""
    sample = work.with_name(work.name + "-sample")
    if not sample.exists():
        unpack_sample(sample)
    plain = [Cell("none", 0.0, seed=copy) for copy in COPIES]
    for cell in [*plain, Cell("drop-outliers", 0.25), *CARDS]:
        shared, folder = place(cell, work)
        bind(shared, folder)
        split(sample, folder)
        copy_of(cell, shared, folder, lambda *_: None)


def groups() -> list[list[Cell]]:
    """Cells that share a model, most telling first; last templates behind filters, which leave next to nothing."""
    found: dict[str, list[Cell]] = {}
    for cell in dict.fromkeys([*guilty(), *innocents()]):
        found.setdefault(cell.trained.name, []).append(cell)
    return sorted(found.values(), key=lambda own: own[0].attack in FILTERS and own[0] not in CARDS)


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the cells; finished ones are kept."""
    for cell in itertools.chain.from_iterable(groups()[part::parts]):
        clock = Clock()
        row = run_cells([cell], *place(cell, work))[0]
        print(f"{cell.name}: E = {[round(t['e_value'], 1) for t in row['tests']]}, {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Collect the cells that are there; write `results/robustness.json` and its plot."""
    clock = Clock()
    done = [c for c in [*guilty(), *innocents()] if (place(c, work)[1] / "cells" / f"{c.name}.json").exists()]
    rows = [run_cells([c], *place(c, work))[0] for c in done]
    guilty_rows = [r for r in rows if not r["innocent"]]
    table = [line(own, guilty_rows) for own in grouped(guilty_rows)]
    table.sort(key=lambda r: (r["found"]["share"], min(r["e_values"])))
    write_result("robustness", {
        "what": "four releases of 2 % of 1,600 samples (one behind filters); full fine-tune, 200 steps of 64; M 9,999",
        "left_out": [c.name for c in [*guilty(), *innocents()] if c not in done],
        "worst_first": table,
        "innocents": [innocent_line(own) for own in grouped([r for r in rows if r["innocent"]])],
        "rows": rows,
    }, clock())  # fmt: skip
    usual = summaries([r for r in guilty_rows if r["family"] == RECOMMENDED.family])
    cost_plot(usual).savefig(RESULTS / "robustness.png", dpi=110)


def line(own: Sequence[dict[str, Any]], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One attack: power, and what it cost the thief beside the same key without attack."""
    first, made, costs = own[0], tests(own), []
    for row in own:
        alike = [r for r in rows if len(r["tests"]) == len(row["tests"])]  # trained on as many releases
        if (found := cost(row, alike)) is not None:
            costs.append(found)
    loss, distance = np.mean(costs, axis=0).tolist() if costs else (None, None)
    return {
        **{key: first[key] for key in ("attack", "strength", "where", "family", "psnr", "samples")},
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
