"""Attacks beyond the standard suite: the plan `examples/further_attacks.toml`, on the default and on `template`.

    python -m benchmarks.robustness_further train --work W --part 0/2 &
    python -m benchmarks.robustness_further train --work W --part 1/2
    python -m benchmarks.robustness_further judge --work W

Parts, copies and models are those of `benchmarks.robustness_default`, if W is the same folder.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from attacks.suite import read_suite
from benchmarks.common import Clock, run_stages, write_result
from benchmarks.robustness_default import Case, by_model, collected, measure_all
from benchmarks.robustness_default import prepare as prepare_suite
from protect.release.plan import WORDING

PLAN = Path(__file__).parent.parent / "examples" / "further_attacks.toml"


def cases() -> list[Case]:
    """The cells of the plan, each on the release that it names."""
    return [Case("default" if cell.family == WORDING.family else cell.family, cell) for cell in read_suite(PLAN, {})]


def train(work: Path, part: int, parts: int) -> None:
    """This process's share of the cases; finished ones are kept."""
    measure_all(itertools.islice(by_model(cases()), part, None, parts), work)


def judge(work: Path) -> None:
    """Collect the cells that are there."""
    clock = Clock()
    write_result("robustness_further", collected(cases(), work), clock())


if __name__ == "__main__":
    run_stages(__doc__, train, judge, prepare_suite)
