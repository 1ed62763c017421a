"""The standard suite on the default, `lean` with `wording`; its most telling attacks on `--both` and on `template`.

    python -m benchmarks.robustness_default train --work W --part 0/2 &
    python -m benchmarks.robustness_default train --work W --part 1/2
    python -m benchmarks.robustness_default judge --work W

Two thirds of the sample dataset are marked; thieves tune the whole miniature for 200 steps of 64 in half precision, as
in `benchmarks.robustness`. A release of the default holds as many slots as choices of words serve; each slot has a key
of its own, so that one model is asked about several marks at once, and the test stops where they suffice together.
`python -m benchmarks.robustness_default take-over --work W` before it puts the cells of the result on file into W, each
with the commit that measured it; then `train` goes on with those that were left out.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from attacks.cell import Cell
from attacks.measure import run_cells
from attacks.result import CellResult, from_json
from attacks.suite import standard
from attacks.summary import found_count, grouped
from attacks.workshop import Setting, Workshop
from benchmarks.common import PAINTED, RESULTS, Clock, run_stages, write_result
from benchmarks.robustness import line, sample_of
from benchmarks.suspects import FULL
from protect.files import pretty_json, write_atomic
from protect.marks import BUILT_IN
from protect.miniature import miniature_path
from protect.release.plan import SHADE, WORDING, Options
from protect.sample import unpack_sample

TUNING = replace(FULL, precision="bf16")
DEFAULT = Options.of(WORDING, steps=12)
BOTH = Options.of(WORDING, SHADE, steps=12)
PICTURES = ("none", "recaption", "unify-wording", "grey", "colour", "mix", "continue", "merge-other", "drop-outliers")
"""What can make a difference to a mark that lives in captions and in pictures."""
BESIDE = ("none", "recaption", "mix", "continue", "merge-other", "merge-base", "drop-outliers", "drop-losses", "crop")
"""What `template` goes through under the same training, one release of one slot alone in its copy."""
FAMILIES = ("lean", "shade", "template")
INNOCENT = (("none", 0.0), ("recaption", 1.0), ("unify-wording", 1.0))


@dataclass(frozen=True, slots=True)
class Case:
    """A cell, and what the owner planted."""

    release: str
    """`default`, `both` or `template`."""
    cell: Cell

    def workshop(self, work: Path) -> Workshop:
        """What the cell shares with others of its release, and the folder where."""
        planted = {"default": DEFAULT, "both": BOTH, "template": PAINTED}[self.release]
        shared = Setting(sample_of(work), miniature_path(), planted, TUNING)
        return Workshop(shared, work / self.release, work / "cache")

    def measured(self, work: Path) -> CellResult:
        """Its result, read back if it was measured before."""
        return run_cells([self.cell], self.workshop(work))[0]

    def done(self, work: Path) -> bool:
        """Whether it was measured."""
        return self.workshop(work).result_path(self.cell).exists()


def cases() -> list[Case]:
    """The whole suite on two keys of the default, and what tells most of it on other releases."""
    painted = standard((0, 1), "template", "twa-double")
    return [
        *(Case("default", cell) for cell in standard((0,))),
        *(Case("both", cell) for cell in standard((0,)) if cell.attack in PICTURES and cell.where != "prompts"),
        *(Case("default", cell) for cell in standard((1,))),
        *(Case("template", cell) for cell in painted if cell.attack in BESIDE),
        *(Case("both", cell) for cell in standard((1,)) if cell.attack in PICTURES and cell.where != "prompts"),
        *(Case("default", Cell(attack, strength, innocent=True)) for attack, strength in INNOCENT),
    ]


def by_model(wanted: Sequence[Case]) -> Iterator[list[Case]]:
    """Cases that share a model, together."""
    found: dict[tuple[str, str], list[Case]] = {}
    for case in wanted:
        found.setdefault((case.release, case.cell.trained.name), []).append(case)
    yield from found.values()


def prepare(work: Path) -> None:
    """The sample dataset, its parts, and the marked copies that processes share."""
    sample = sample_of(work)
    if not sample.exists():
        unpack_sample(sample)
    for case in cases():
        if case.cell.attack == "none" and not case.cell.innocent:
            workshop = case.workshop(work)
            workshop.prepare()
            workshop.marked_copy(case.cell)


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the cases; finished ones are kept."""
    measure_all(itertools.islice(by_model(cases()), part, None, parts), work)


def measure_all(groups: Iterable[Sequence[Case]], work: Path) -> None:
    """Measure case after case, and say what each came to."""
    for case in itertools.chain.from_iterable(groups):
        clock = Clock()
        result = case.measured(work)
        e_values = [round(test.e_value, 2) for test in result.tests]
        print(f"{case.release} {case.cell.name}: E = {e_values}, {clock():.0f} s", flush=True)


def take_over(work: Path) -> None:
    """Put the rows of the result on file where cells are looked for, with the commit that measured each."""
    held = json.loads((RESULTS / "robustness_default.json").read_bytes())
    now = {name: family.version for name, family in BUILT_IN.items()}
    assert held["tuning"] == asdict(TUNING), "it was measured with another training"
    assert all(now[name] == held["family_versions"][name] for name in FAMILIES), "it is of other versions of families"
    prepare(work)
    rows = {(row["release"], from_json(row).cell.name): {"commit": held["commit"], **row} for row in held["rows"]}
    for case in cases():
        if (row := rows.get((case.release, case.cell.name))) and not case.done(work):
            write_atomic(case.workshop(work).result_path(case.cell), pretty_json(row))


def _commit(case: Case, work: Path) -> dict[str, str]:
    """The commit of a row that was taken over; nothing for one that was measured in this tree."""
    row = json.loads(case.workshop(work).result_path(case.cell).read_bytes())
    return {"commit": row["commit"]} if "commit" in row else {}


def judge(work: Path) -> None:
    """Collect the cells that are there."""
    clock = Clock()
    innocents = [case.measured(work) for case in cases() if case.cell.innocent and case.done(work)]
    found = collected(cases(), work) | {"innocents": list(map(_innocent, innocents))}
    write_result("robustness_default", found, clock())


def collected(wanted: Sequence[Case], work: Path) -> dict[str, Any]:
    """What was measured of some cases, and what was left out."""
    made = [(case, case.measured(work)) for case in wanted if case.done(work)]
    return {
        "tuning": asdict(TUNING),
        "left_out": [f"{case.release}: {case.cell.name}" for case in wanted if not case.done(work)],
        "worst_first": {
            release: lines([result for case, result in made if case.release == release])
            for release in dict.fromkeys(case.release for case, _ in made)
        },
        "rows": [{"release": case.release, **_commit(case, work), **result.as_json()} for case, result in made],
    }


def lines(results: Sequence[CellResult]) -> list[dict[str, Any]]:
    """One line an attack, the weakest evidence first."""
    accused = [result for result in results if not result.cell.innocent]
    found = [line(own, accused) for own in grouped(accused)]
    return sorted(found, key=lambda row: (row["found"]["share"], min(row["e_values"])))


def _innocent(result: CellResult) -> dict[str, Any]:
    return {
        "attack": result.cell.attack,
        "strength": result.cell.strength,
        "accused": found_count([result]),
        "e_values": [test.e_value for test in result.tests],
        "p_values": [test.p_values for test in result.tests],
    }


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare, {"take-over": take_over})
