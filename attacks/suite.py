"""Which attacks are measured: a plan file, or the built-in `standard` suite."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacks.interface import ImageAttack, check_strength
from attacks.registry import find_attack
from protect.errors import InputError

WHERE = ("training", "outputs")


@dataclass(frozen=True, slots=True)
class Cell:
    """One attack at one strength on one kind of release."""

    attack: str
    """Name, or "none"."""
    strength: float
    where: str = "training"
    """Pictures can be attacked before training or as the suspect's outputs."""
    family: str = "template"
    alignment: str = "twa"
    seed: int = 0
    """Draws the throw-away key, the attack's randomness and training."""

    @property
    def name(self) -> str:
        """As a file name."""
        place = "" if self.where == "training" else f"-{self.where}"
        return f"{self.attack}-{self.strength:g}{place}-{self.family}-{self.alignment}-{self.seed}"

    @property
    def trained(self) -> Cell:
        """The cell whose model this one asks: attacks on outputs share the model that nothing struck."""
        return self if self.where == "training" else replace(self, attack="none", strength=0.0, where="training")

    def check(self) -> None:
        """Refuse what cannot be run.

        Raises:
            InputError: naming the value and what is allowed.
        """
        check_strength(self.strength)
        if self.where not in WHERE:
            raise InputError(f"where = {self.where!r} is unknown", f"Allowed: {', '.join(WHERE)}.")
        if self.attack == "none":
            return
        if self.where == "outputs" and not isinstance(find_attack(self.attack), ImageAttack):
            raise InputError(f"attack {self.attack!r} cannot strike outputs", "Attacks on pictures can: attacks ls")
        find_attack(self.attack)


STANDARD: tuple[tuple[str, float, str], ...] = (
    ("none", 0, "training"), ("jpeg", 0.56, "training"), ("crop", 0.5, "training"), ("restore", 0.5, "training"),
    ("combined", 0.5, "training"), ("drop-new", 1, "training"), ("recaption", 1, "training"),
    ("deduplicate", 0.4, "training"), ("drop-clusters", 0.5, "training"), ("subset", 0.5, "training"),
    ("frozen-text", 1, "training"), ("combined", 0.5, "outputs"),
)  # fmt: skip
"""Attack, strength, place: the most telling first. JPEG at 0.56 is quality 50."""


def standard(seeds: tuple[int, ...] = (0,)) -> list[Cell]:
    """The standard suite on the recommended release."""
    return [Cell(attack, strength, where, seed=seed) for seed in seeds for attack, strength, where in STANDARD]


def read_suite(path: Path) -> list[Cell]:
    """The cells of a plan file in TOML: tables `[[cell]]` with `attack`, `strength` (number or list) and more.

    Raises:
        InputError: with the line, if the file is no TOML; with the cell, if a value is not allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plan = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a UTF-8 text file.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}", "See README for a plan file.") from None
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*cell\s*\]\]", line)]
    tables = plan.get("cell", [])
    if not isinstance(tables, list) or not tables or set(plan) != {"cell"}:
        raise InputError(f"{path} holds {', '.join(plan) or 'nothing'}", "Write tables [[cell]] and nothing else.")
    found: list[Cell] = []
    for table, line in zip(tables, lines, strict=False):
        try:
            found += _cells(table)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.what}", error.advice) from None
    if doubled := sorted({c.name for c in found if found.count(c) > 1}):
        raise InputError(f"{path} asks for {doubled[0]} twice", "Take one out.")
    return found


_FIELDS: dict[str, Any] = {
    "attack": str,
    "strength": (int, float, list),
    "where": str,
    "family": str,
    "alignment": str,
    "seed": int,
}


def _cells(table: dict[str, Any]) -> Iterator[Cell]:
    if unknown := sorted(set(table) - set(_FIELDS)):
        raise InputError(f"unknown key {unknown[0]!r}", f"Allowed: {', '.join(_FIELDS)}.")
    for key, kind in _FIELDS.items():
        if key in table and (not isinstance(table[key], kind) or isinstance(table[key], bool)):
            raise InputError(f"{key} = {table[key]!r} is of the wrong kind", "Names are text, strengths are numbers.")
    if not {"attack", "strength"} <= set(table):
        raise InputError("a cell lacks 'attack' or 'strength'", "Give both.")
    strengths = table["strength"] if isinstance(table["strength"], list) else [table["strength"]]
    for strength in strengths:
        if not isinstance(strength, (int, float)) or isinstance(strength, bool):
            raise InputError(f"strength {strength!r} is no number", "Allowed: 0 to 1.")
        cell = Cell(**{**table, "strength": float(strength)})
        cell.check()
        yield cell
