"""Which attacks are measured: a plan file, or the built-in `standard` suite."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from attacks.cell import Cell
from attacks.stages.registry import find_attack
from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.marks.family import FamilyOptions
from protect.release.plan import WORDING, usual_part

STANDARD: tuple[tuple[str, float, str], ...] = (
    ("none", 0, "training"),
    ("recaption", 1, "training"),
    ("unify-wording", 1, "training"),
    ("unify-wording", 0.5, "training"),
    ("lose", 0.1, "training"),
    ("shuffle-tags", 1, "training"),
    ("grey", 1, "training"),
    ("colour", 0.5, "training"),
    ("flip", 0.5, "training"),
    ("drop-outliers", 0.25, "training"),
    ("drop-losses", 0.5, "training"),
    ("drop-clusters", 0.5, "training"),
    ("deduplicate", 0.4, "training"),
    ("mix", 1 / 3, "training"),
    ("crop", 0.5, "training"),
    ("purify", 0.5, "training"),
    ("restore", 0.5, "training"),
    ("jpeg", 0.56, "training"),
    ("vae", 0.25, "training"),
    ("drop-new", 1, "training"),
    ("subtract-mean", 1, "training"),
    ("drop-rings", 0.5, "training"),
    ("drop-flagged", 1, "training"),
    ("drop-described", 1, "training"),
    ("continue", 0.5, "model"),
    ("merge-other", 1, "model"),
    ("combined", 0.5, "outputs"),
    # Those below cost questions only: they share the first cell's model.
    ("jpeg", 0.56, "outputs"),
    ("crop", 0.5, "outputs"),
    ("flip", 1, "outputs"),
    ("rotate", 0.5, "outputs"),
    ("noise", 0.5, "outputs"),
    ("blur", 0.5, "outputs"),
    ("refuse", 0.5, "outputs"),
    ("drop-new", 1, "prompts"),
    ("drop-repeats", 1, "prompts"),
    ("paraphrase", 1, "prompts"),
    ("shuffle", 1, "prompts"),
    ("normalise", 1, "prompts"),
    ("unify-wording", 1, "prompts"),
    ("prune", 0.5, "model"),
    ("quantise-weights", 0.8, "model"),
    ("weight-noise", 0.5, "model"),
    ("merge-base", 0.5, "model"),
    ("api-steps", 0.75, "answers"),
    ("api-guidance", 1, "answers"),
    ("api-negative", 1, "answers"),
)
"""Attack, strength, place: the most telling first. JPEG at 0.56 is quality 50, `mix` at a third is 3 clean for each,
`lose` at a tenth is the dropout of captions that many trainers apply."""


def standard(
    seeds: Iterable[int] = (0,), family: str = WORDING.family, alignment: str = WORDING.alignment
) -> list[Cell]:
    """The standard suite on a kind of release."""
    return [
        Cell(attack, float(strength), where, family, alignment, seed)
        for seed in seeds
        for attack, strength, where in STANDARD
    ]


def read_suite(path: Path, options: Mapping[str, FamilyOptions], store: Store = NO_STORE) -> list[Cell]:
    """The cells of a plan file in TOML: tables `[[cell]]` with `attack`, `strength` (number or list) and more.

    Args:
        path: the file.
        options: of families that take or need some.
        store: the pools and bases that they may name.

    Raises:
        InputError: with the line, if the file is no TOML; with the cell, if a value is not allowed.
    """
    found: list[Cell] = []
    for table, line in _tables(path):
        try:
            found += _cells(table, options, store)
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.what}", error.advice) from None
    names = [c.name for c in found]
    if doubled := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{path} asks for {doubled[0]} twice", "Take one out.")
    return found


def _tables(path: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """The tables of a plan file, each with the line where it begins."""
    try:
        text = path.read_text(encoding="utf-8")
        plan = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read ({error})", "Give a UTF-8 text file.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}", "docs/robustness.md shows a plan file.") from None
    lines = [n for n, line in enumerate(text.splitlines(), 1) if re.match(r"\s*\[\[\s*cell\s*\]\]", line)]
    tables = plan.get("cell", [])
    if not isinstance(tables, list) or not tables or set(plan) != {"cell"} or len(lines) != len(tables):
        raise InputError(f"{path} holds {', '.join(plan) or 'nothing'}", "Write tables [[cell]] and nothing else.")
    return zip(tables, lines, strict=True)


_KINDS: dict[str, tuple[type, ...]] = {"strength": (int, float, list), "seed": (int,), "innocent": (bool,)}
"""Types of a cell's values in TOML; all others are text."""


def _cells(table: Mapping[str, Any], options: Mapping[str, FamilyOptions], store: Store) -> list[Cell]:
    """The cells of one table, one for each strength."""
    _check_kinds(table)
    strengths = table["strength"] if isinstance(table["strength"], list) else [table["strength"]]
    if not strengths:
        raise InputError("no strength is given", "Write one, or a list of them.")
    family = table.get("family", WORDING.family)
    own = options.get(family, {})
    usual = {
        "where": find_attack(table["attack"]).places[0],
        "alignment": usual_part(family=family).alignment_name,
    }
    cells = [Cell(**{**usual, **table, "strength": _number(strength)}) for strength in strengths]
    for cell in cells:
        cell.check(own, store)
    return cells


def _check_kinds(table: Mapping[str, Any]) -> None:
    names = [field.name for field in fields(Cell)]
    if unknown := sorted(set(table) - set(names)):
        raise InputError(f"unknown key {unknown[0]!r}", f"Allowed: {', '.join(names)}.")
    for key, value in table.items():
        kinds = _KINDS.get(key, (str,))
        if not isinstance(value, kinds) or isinstance(value, bool) != (kinds == (bool,)):
            raise InputError(f"{key} = {value!r} is of the wrong kind", "Names are text, strengths are numbers.")
    if not {"attack", "strength"} <= set(table):
        raise InputError("a cell lacks 'attack' or 'strength'", "Give both.")


def _number(strength: object) -> float:
    if not isinstance(strength, (int, float)) or isinstance(strength, bool):
        raise InputError(f"strength {strength!r} is no number", "Allowed: 0 to 1.")
    return float(strength)
