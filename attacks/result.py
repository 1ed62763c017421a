"""What was measured in one cell, and how it is kept: one JSON file a cell."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from attacks.cell import Cell
from detect.training.options import FinetuneOptions
from protect.release.record import known_fields

SCHEMA = 4
"""Of the JSON; raised whenever a field changes."""


@dataclass(frozen=True, slots=True)
class KeyTest:
    """The test of one release on the cell's suspect."""

    verdict: str
    reason: str
    """Why it is inconclusive; empty otherwise."""
    e_value: float
    p_values: tuple[float, ...]
    """Of the slots that were asked."""
    queries: int
    carriers: int

    @property
    def found(self) -> bool:
        """Whether there is evidence."""
        return self.verdict == "evidence"

    @property
    def conclusive(self) -> bool:
        """Whether the test came to a conclusion."""
        return self.verdict != "inconclusive"


@dataclass(frozen=True, slots=True)
class Price:
    """What an attack leaves the thief with; smaller is better for him."""

    denoising_loss: float | None = None
    """Mean squared error of his model on held-out pictures; None where the attack cannot change it."""
    kernel_distance: float | None = None
    """Of his model's pictures to real ones; None for innocents, who pay nothing."""


@dataclass(frozen=True, slots=True)
class CellResult:
    """What was measured in one cell."""

    cell: Cell
    tests: tuple[KeyTest, ...]
    """One for each key."""
    alpha: float
    slots: int
    samples: int
    """What the suspect was trained on."""
    psnr: float | None
    """Median over training pictures against the copy in decibels, at most 99; None where no picture was altered."""
    price: Price
    tuning: FinetuneOptions
    suspect: dict[str, str]
    """All that its answers depend on: hashes of weights, scheduler, versions."""
    versions: dict[str, str]

    @property
    def conclusive(self) -> bool:
        """Whether all its tests came to a conclusion."""
        return all(test.conclusive for test in self.tests)

    def as_json(self) -> dict[str, Any]:
        """One flat table."""
        row = asdict(self)
        cell, price = row.pop("cell"), row.pop("price")
        return {"schema": SCHEMA, **cell, **row, **price}


def from_json(row: dict[str, Any]) -> CellResult:
    """Read what `as_json` gave.

    Raises:
        KeyError, TypeError: if it is of another schema.
    """
    if row["schema"] != SCHEMA:
        raise KeyError(f"schema {row['schema']}; this program reads {SCHEMA}")
    own = {f.name: row[f.name] for f in fields(CellResult) if f.name not in {"cell", "tests", "price", "tuning"}}
    return CellResult(
        cell=known_fields(Cell, row),
        tests=tuple(known_fields(KeyTest, test | {"p_values": tuple(test["p_values"])}) for test in row["tests"]),
        price=known_fields(Price, row),
        tuning=known_fields(FinetuneOptions, row["tuning"]),
        **own,
    )
