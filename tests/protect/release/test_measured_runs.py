"""The runs that ship follow from the committed results, and from nothing else."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_runs_that_ship_are_those_of_the_results() -> None:
    from benchmarks.measured_runs import SHIPPED, collected

    shipped = (ROOT / SHIPPED).read_text(encoding="utf-8")
    assert shipped == collected(), "run: python -m benchmarks.measured_runs"
