"""What results say together: survival and cost of each attack over seeds and keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from attacks.result import CellResult, KeyTest


def all_tests(results: Sequence[CellResult]) -> list[KeyTest]:
    """The tests of cells, one a key."""
    return [test for result in results for test in result.tests]


def found_count(results: Sequence[CellResult]) -> int:
    """How many tests of cells found evidence."""
    return sum(test.found for test in all_tests(results))


def conclusive_count(results: Sequence[CellResult]) -> int:
    """How many tests of cells came to a conclusion."""
    return sum(test.conclusive for test in all_tests(results))


def grouped(results: Sequence[CellResult]) -> list[list[CellResult]]:
    """Results whose cells differ in their seed only."""
    out: dict[tuple[str, float, str, str, str], list[CellResult]] = {}
    for result in results:
        cell = result.cell
        same = cell.attack, cell.strength, cell.where, cell.family, cell.alignment
        out.setdefault(same, []).append(result)
    return list(out.values())


@dataclass(frozen=True, slots=True)
class Rise:
    """What an attack costs the thief beside the same key without attack."""

    denoising_loss: float
    """Relative rise; 0 where neither the model nor what it hears was altered."""
    kernel_distance: float


def rise(result: CellResult, results: Sequence[CellResult]) -> Rise | None:
    """What an attack costs the thief; None for an innocent, or if the cell without attack was not measured."""
    cell = result.cell
    plain = next((r for r in results if r.cell == cell.plain), None)
    if plain is None or plain.price.denoising_loss is None or plain.price.kernel_distance is None:
        return None
    distance, loss = result.price.kernel_distance, result.price.denoising_loss
    if distance is None:
        return None
    before = plain.price.denoising_loss
    return Rise((before if loss is None else loss) / before - 1, distance - plain.price.kernel_distance)


_LEAST_E = 1e-3
"""Below it evidence is shown as this: its logarithm would have no end."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What the page says about cells of guilty models that differ in their seed only."""

    first: CellResult
    found: int
    """Tests that found evidence."""
    conclusive: int
    """Tests that came to a conclusion."""
    reason: str
    """Why a test was inconclusive; empty if none was."""
    least: float
    """The smallest evidence of all tests."""
    evidence: float
    """Its geometric mean."""
    rise: Rise | None
    """Mean cost for the thief; None if the cell without attack was not measured."""


def summaries(results: Sequence[CellResult]) -> list[Summary]:
    """What the page says about each kind of cell of guilty models."""
    return [_summary(own, results) for own in grouped(results)]


def _summary(own: Sequence[CellResult], results: Sequence[CellResult]) -> Summary:
    tests = all_tests(own)
    logs = [np.log(max(test.e_value, _LEAST_E)) for test in tests]
    return Summary(
        first=own[0],
        found=found_count(own),
        conclusive=conclusive_count(own),
        reason=next((test.reason for test in tests if not test.conclusive), ""),
        least=min(test.e_value for test in tests),
        evidence=float(np.exp(np.mean(logs))),
        rise=mean_rise(own, results),
    )


def mean_rise(own: Sequence[CellResult], results: Sequence[CellResult]) -> Rise | None:
    """Mean cost of an attack over the cells whose counterpart without attack was measured; None without any.

    Args:
        own: cells of one attack.
        results: all cells.
    """
    costs = [found for result in own if (found := rise(result, results)) is not None]
    if not costs:
        return None
    return Rise(float(np.mean([c.denoising_loss for c in costs])), float(np.mean([c.kernel_distance for c in costs])))
