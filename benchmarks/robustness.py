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
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from attacks.cell import Cell
from attacks.cost_plot import cost_plot
from attacks.measure import run_cells
from attacks.result import CellResult
from attacks.suite import STANDARD, standard
from attacks.summary import all_tests, found_count, grouped, mean_rise, summaries
from attacks.workshop import Setting, Workshop
from benchmarks.common import PAINTED as EMBEDDING
from benchmarks.common import RESULTS, Clock, interval, keyring_in, run_stages, write_result
from benchmarks.families import pool_of
from benchmarks.suspects import FULL
from protect.miniature import miniature_path
from protect.sample import unpack_sample

painted = partial(Cell, family="template", alignment="twa-double")
usual = partial(standard, family="template", alignment="twa-double")
COPIES, KEYS = range(3), 4
"""Copies about whose keys innocents are asked, releases a copy."""
AGAIN = ("none", "recaption", "mix", "continue", "merge-base", "shuffle", "refuse")
"""What is measured on a second model, with four further keys: where the first model left some keys hardly found."""
SHARED = ("none", "merge-base", "weight-noise", "combined")
FURTHER = {
    2: (*SHARED, "recaption", "mix", "continue"),
    3: (*SHARED, "recaption", "mix", "continue"),
    4: SHARED,
    5: SHARED,
}
"""What is measured on four more models, by their seeds: what costs a thief little."""
FILTERS = ("drop-outliers", "drop-losses", "drop-clusters", "drop-rings", "drop-described", "deduplicate")
"""These are measured with one release a copy: side by side, carriers would be less odd than they are."""
CARDS = [
    painted(attack, strength, where, family="card")
    for attack, strength, where in (
        ("none", 0.0, "training"),
        ("drop-outliers", 0.25, "training"),
        ("drop-clusters", 0.5, "training"),
        ("drop-losses", 0.5, "training"),
        ("recaption", 1.0, "training"),
        ("mix", 1 / 3, "training"),
        ("deduplicate", 0.4, "training"),
        ("continue", 0.5, "model"),
        ("shuffle", 1.0, "prompts"),
    )
]
"""What is offered against filters, with one release a copy too."""
CARDS_AGAIN = (
    "none",
    "recaption",
    "mix",
    "crop",
    "continue",
    "merge-other",
    "merge-base",
    "shuffle",
    "paraphrase",
    "drop-repeats",
    "refuse",
)
"""What cards go through once more, four releases side by side (seed 1): is the default the better one?"""
SCENES = [
    *standard((0,), "scene", "twa-conjunction"),
    *(c for c in standard((1,), "scene", "twa-conjunction") if c.attack in ("none", "drop-losses", "drop-rings")),
]
"""What base models draw themselves, offered against filters: one release of two slots a copy."""
WHAT = "four releases of 2 % of 1,600 samples (one behind filters); full fine-tune, 200 steps of 64; M 9,999"
INNOCENT = (("none", 0.0), ("recaption", 1.0))
"""Attacks on the training of innocents."""


def sample_of(work: Path) -> Path:
    """Where the sample dataset is unpacked."""
    return work.with_name(work.name + "-sample")


@dataclass(frozen=True, slots=True)
class Case:
    """A cell, and how many releases lie side by side in its copy."""

    cell: Cell
    keys: int = KEYS

    def workshop(self, work: Path) -> Workshop:
        """What the cell shares with others, and the folder where."""
        shared = Setting(sample_of(work), miniature_path(), EMBEDDING, FULL, keys=self.keys)
        folder = work / ("alone" if self.keys == 1 else "side-by-side")
        if self.cell in SCENES:
            two, folder = replace(EMBEDDING, rate=0.04, slots=2), work / "scenes"
            drawn = keyring_in(work / "drawn" / "keyring")
            options = {"scene": pool_of(shared.dataset, work / "drawn", drawn)}
            shared = replace(shared, embedding=two, family_options=options, store=drawn.store)
        return Workshop(shared, folder, folder / "cache")

    def done(self, work: Path) -> bool:
        """Whether it was measured."""
        return self.workshop(work).result_path(self.cell).exists()

    def measured(self, work: Path) -> CellResult:
        """Its result, read back if it was measured before."""
        return run_cells([self.cell], self.workshop(work))[0]


def guilty() -> list[Case]:
    """The standard suite, part of it again, cards alone in their dataset and side by side, scenes."""
    first, again = usual((0,)), usual((1,))
    return [
        *(Case(cell, 1 if cell.attack in FILTERS else KEYS) for cell in first),
        Case(painted("none", 0.0), 1),  # beside it, the filters' cost
        *(Case(cell) for cell in again if cell.attack in AGAIN),
        *(Case(cell) for cell in usual(FURTHER) if cell.attack in FURTHER[cell.seed]),
        *(Case(cell, 1) for cell in CARDS),
        *(Case(replace(cell, family="card")) for cell in again if cell.attack in CARDS_AGAIN),
        *(Case(cell, 1) for cell in SCENES),
    ]


def innocents() -> list[Case]:
    """Attacked in training, each with the keys of three copies; and attacked outputs of the first."""
    trained = [painted(attack, strength, seed=copy, innocent=True) for attack, strength in INNOCENT for copy in COPIES]
    after = [
        painted(attack, strength, where, seed=copy, innocent=True)
        for attack, strength, where in STANDARD
        if where not in ("training", "model")
        for copy in COPIES
    ]
    return [Case(cell) for cell in trained + after]


def prepare(work: Path) -> None:
    """The sample dataset, its parts, and the marked copies that processes share."""
    sample = sample_of(work)
    if not sample.exists():
        unpack_sample(sample)
    plain = [Case(painted("none", 0.0, seed=copy)) for copy in COPIES]
    for case in [*plain, *(c for c in guilty() if c.cell.attack == "none")]:
        workshop = case.workshop(work)
        workshop.prepare()
        workshop.marked_copy(case.cell)


def groups() -> list[list[Case]]:
    """Cases that share a model, most telling first; last templates behind filters, which leave next to nothing."""
    found: dict[tuple[str, int], list[Case]] = {}
    for case in dict.fromkeys([*guilty(), *innocents()]):
        found.setdefault((case.cell.trained.name, case.keys), []).append(case)
    return sorted(
        found.values(), key=lambda own: own[0].cell.attack in FILTERS and own[0].cell.family == EMBEDDING.family
    )


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the cases; finished ones are kept."""
    for case in itertools.chain.from_iterable(groups()[part::parts]):
        clock = Clock()
        result = case.measured(work)
        print(f"{case.cell.name}: E = {[round(t.e_value, 1) for t in result.tests]}, {clock():.0f} s", flush=True)


def judge(work: Path) -> None:
    """Collect the cells that are there; write `results/robustness.json` and its plot."""
    clock = Clock()
    cases = dict.fromkeys([*guilty(), *innocents()])
    results = [case.measured(work) for case in cases if case.done(work)]
    accused = [r for r in results if not r.cell.innocent]
    table = [line(own, accused) for own in by_keys(accused)]
    table.sort(key=lambda r: (r["found"]["share"], min(r["e_values"])))
    write_result(
        "robustness",
        {
            "what": WHAT,
            "left_out": [case.cell.name for case in cases if not case.done(work)],
            "worst_first": table,
            "innocents": [innocent_line(own) for own in grouped([r for r in results if r.cell.innocent])],
            "rows": [r.as_json() for r in results],
        },
        clock(),
    )
    usual = [r for r in accused if r.cell.family == EMBEDDING.family]
    shown = [s for keys in (KEYS, 1) for s in summaries(alike(usual, keys))]
    cost_plot(shown).savefig(RESULTS / "robustness.png", dpi=110)


def alike(results: Sequence[CellResult], keys: int) -> list[CellResult]:
    """The results with so many releases a copy."""
    return [result for result in results if len(result.tests) == keys]


def by_keys(results: Sequence[CellResult]) -> list[list[CellResult]]:
    """Results that differ in their seed only."""
    return [own for keys in (KEYS, 1) for own in grouped(alike(results, keys))]


def line(own: Sequence[CellResult], results: Sequence[CellResult]) -> dict[str, Any]:
    """One attack: power, and what it cost the thief beside the same key without attack.

    Keys are independent and have one slot each, so the product of their e-values is one, too: about what one release
    with as many slots would say (verdicts multiply the e-values of each λ over slots before they average).
    """
    first, cell, made = own[0], own[0].cell, all_tests(own)
    cost = mean_rise(own, alike(results, len(first.tests)))
    return {
        "attack": cell.attack,
        "strength": cell.strength,
        "where": cell.where,
        "family": cell.family,
        "psnr": first.psnr,
        "samples": first.samples,
        "releases_a_copy": len(first.tests),
        "found": interval(found_count(own), len(made)),
        "e_values": [t.e_value for t in made],
        "e_together": [math.prod(t.e_value for t in result.tests) for result in own],
        "p_values": [t.p_values for t in made],
        "queries": [t.queries for t in made],
        "denoising_loss_rise": cost and cost.denoising_loss,
        "kernel_distance_rise": cost and cost.kernel_distance,
    }


def innocent_line(own: Sequence[CellResult]) -> dict[str, Any]:
    """One attack on innocents: how often accused, and how often p is small."""
    cell, made = own[0].cell, all_tests(own)
    p_values = [t.p_values[0] for t in made if t.p_values]
    return {
        "attack": cell.attack,
        "strength": cell.strength,
        "where": cell.where,
        "accused": interval(found_count(own), len(made)),
        "p at most 0.05": interval(sum(p <= 0.05 for p in p_values), len(p_values)),
        "p_values": p_values,
    }


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare)
