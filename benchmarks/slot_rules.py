"""How should the slots of a test be put together? Tests on file, judged once more by other exact rules.

    python -m benchmarks.slot_rules

The rule of today multiplies e-values of slots and stops at E >= 1/alpha. The others put the slots' p-values together by
Fisher's method. After each slot some share of the level is spent, and all shares make one: a union bound, so that the
level holds at any stopping time. They differ in the share of the last slot; the others have equal parts of the rest.

A test that was stopped at E >= 1/alpha never asked its later slots. Where its asked slots do not suffice for another
rule, it is not known what that rule would have said: it is counted by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from benchmarks.common import RESULTS, Clock, interval, write_result

ALPHA = 1e-3
SHARES = (0.3, 0.5, 1.0)
"""Of the last slot."""
FILES = (
    "wording",
    "wording_four_slots",
    "wording_photographs",
    "wording_photographs_10000",
    "wording_transformer",
    "slow_trainings",
    "slow_trainings_photographs",
    "pushes",
    "frames",
    "frames_photographs",
    "two_owners",
    "robustness_default",
    "robustness_further",
)
DRAWS, SLOTS = 1_000_000, (1, 4, 7)
"""Of the simulation under the null: tests, and their numbers of slots."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Test:
    """One test on file."""

    file: str
    slots: int
    """Planned."""
    e_value: float
    p_values: tuple[float, ...]
    """Of the slots that were asked."""
    guilty: bool
    """Whether the suspect saw the release."""


def shares(slots: int, last: float) -> Array:
    """Share of the level after each slot; one slot has all of it."""
    return np.ones(1) if slots == 1 else np.array([(1 - last) / (slots - 1)] * (slots - 1) + [last])


def fisher(p_values: Array, slots: int, last: float) -> Array:
    """p after each slot, of all slots so far together: the smallest so far of Fisher's p over its share.

    Args:
        p_values: of slots asked in the order of the plan, shape (..., t).
        slots: planned, t or more.
        last: share of the last one.

    Returns:
        Shape (..., t).

    >>> fisher(np.array([0.0005]), 1, 0.3).round(6).tolist()
    [0.0005]
    """
    asked = np.arange(1, p_values.shape[-1] + 1)
    tails = gammaincc(asked, np.cumsum(-np.log(p_values), axis=-1))
    with np.errstate(divide="ignore"):
        return np.asarray(np.minimum(1, np.minimum.accumulate(tails / shares(slots, last)[: len(asked)], axis=-1)))


def tests_of(file: str) -> Iterator[Test]:
    """All tests of a result that tell the p-values of their slots."""
    held = json.loads((RESULTS / f"{file}.json").read_bytes())
    for row in held["rows"]:
        guilty = row.get("innocent") is not True and row.get("saw_it", True)
        yield from _within(file, row, len(row.get("triggers", ())) or 1, guilty)
    for row in held.get("innocents", ()):
        if "p_values" in row and isinstance(row.get("e_value"), float):
            yield Test(file, len(row["p_values"]), row["e_value"], tuple(row["p_values"]), False)


def _within(file: str, held: Mapping[str, Any], slots: int, guilty: bool) -> Iterator[Test]:
    slots = held.get("slots", slots)
    if "e_value" in held and "p_values" in held:
        yield Test(file, slots, held["e_value"], tuple(held["p_values"]), guilty)
    for name, inner in held.items():
        for one in inner if isinstance(inner, list) else [inner]:
            if isinstance(one, dict):
                yield from _within(file, one, slots, guilty and name != "innocent")


def judged(tests: list[Test], last: float) -> dict[str, Any]:
    """How another rule judges tests."""
    said = [fisher(np.array(test.p_values), test.slots, last)[-1] <= ALPHA for test in tests]
    found = [test.e_value >= 1 / ALPHA for test in tests]
    return {
        "too": sum(bool(now and then) for now, then in zip(said, found, strict=True)),
        "not_known": sum(bool(then and not now) for now, then in zip(said, found, strict=True)),
        "besides": sum(bool(now and not then) for now, then in zip(said, found, strict=True)),
    }


def false_accusations(slots: int, last: float) -> dict[str, Any]:
    """How often the rule accuses where every slot's p-value is uniform."""
    p_values = np.random.default_rng(slots).uniform(size=(DRAWS, slots))
    return interval(int((fisher(p_values, slots, last)[:, -1] <= ALPHA).sum()), DRAWS)


def main() -> None:
    """Judge, simulate, write `results/slot_rules.json`."""
    clock = Clock()
    tests, seen = {}, set[tuple[float, ...]]()  # a test may stand twice
    for file in FILES:
        found = {(test.e_value, *test.p_values): test for test in tests_of(file)}
        tests[file] = [test for told, test in found.items() if told not in seen]
        seen |= found.keys()
    files = {file: [test for test in own if test.guilty] for file, own in tests.items()}
    every = [test for own in tests.values() for test in own]
    sides = {"guilty": [t for t in every if t.guilty], "innocent": [t for t in every if not t.guilty]}
    rules: dict[str, Any] = {}
    for last in SHARES:
        rules[f"{last:g}"] = {
            "files": {file: judged(own, last) for file, own in files.items()},
            **{side: judged(own, last) for side, own in sides.items()},
            "null": {str(slots): false_accusations(slots, last) for slots in SLOTS},
        }
    counts = {
        name: {"tests": len(own), "found": sum(test.e_value >= 1 / ALPHA for test in own)}
        for name, own in {**sides, **files}.items()
    }
    write_result("slot_rules", {"alpha": ALPHA, "shipped": counts, "rules": rules}, clock())


if __name__ == "__main__":
    main()
