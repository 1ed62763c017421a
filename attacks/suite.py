"""Which attacks are measured: a plan file, or the built-in `standard` suite."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attacks.stages.attack import check_strength
from attacks.stages.registry import find_attack
from protect.alignments import make_alignment
from protect.alignments.description import Description
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.family import FamilyOptions
from protect.release.plan import RECOMMENDED, Options

PARTS = {"held-out": (0,), "clean": (1, 5, 9), "own": (2, 3, 4, 6, 7, 8, 10, 11)}
"""Who has which of every twelve samples: two thirds are the owner's, a quarter the thief's besides."""
LEAST = 48
"""Samples without which there is nothing to split."""
PLACES: dict[str, tuple[str, ...]] = {
    "images": ("training", "outputs"),
    "captions": ("training", "prompts"),
    "dataset": ("training",),
    "training": ("training",),
    "model": ("model",),
    "api": ("answers",),
    "outputs": ("outputs",),
}
"""Where in the chain attacks of each kind can strike; the first is the default."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One attack at one strength on one kind of release."""

    attack: str
    """Name, or "none"."""
    strength: float
    where: str = "training"
    family: str = RECOMMENDED.family
    alignment: str = RECOMMENDED.way
    seed: int = 0
    """Draws the throw-away key, the attack's randomness and training."""
    innocent: bool = False
    """Ask a model that learned from the unmarked original, attacked alike; it is the same for all keys."""

    @property
    def name(self) -> str:
        """As a file name."""
        place = "" if self.where == "training" else f"-{self.where}"
        innocent = "-innocent" if self.innocent else ""
        return f"{self.attack}-{self.strength:g}{place}-{self.family}-{self.alignment}-{self.seed}{innocent}"

    @property
    def trained(self) -> Cell:
        """The cell whose model this one asks: what strikes after training shares the model that nothing struck."""
        same = self if self.where == "training" else self.plain
        return replace(same, family=RECOMMENDED.family, alignment=RECOMMENDED.way, seed=0) if self.innocent else same

    @property
    def plain(self) -> Cell:
        """The same without attack."""
        return replace(self, attack="none", strength=0.0, where="training")

    def check(self, options: FamilyOptions) -> None:
        """Refuse what cannot be run.

        Args:
            options: of the family.

        Raises:
            InputError: naming the value and what is allowed.
        """
        check_strength(self.strength)
        if self.attack == "none" and self.strength > 0:
            raise InputError(f"strength {self.strength:g} of no attack", "Write strength = 0.")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is negative", "Allowed: 0 or more.")
        _check_release(self.family, self.alignment, options)
        places = ("training",) if self.attack == "none" else PLACES[find_attack(self.attack).kind]
        if self.where not in places:
            raise InputError(
                f"attack {self.attack!r} cannot strike where = {self.where!r}", f"Allowed: {', '.join(places)}."
            )


def _check_release(family: str, alignment: str, options: FamilyOptions) -> None:
    law, way = make_family(family, options), make_alignment(alignment)
    if way.for_classifiers or not (law.alone or way.twinned):
        raise InputError(f"family {family!r} cannot be measured with alignment {alignment!r}", "See: protect ls")
    if isinstance(way, Description) and not law.descriptions:
        raise InputError(f"family {family!r} cannot be described", "Use another alignment.")


def check_needs(cell: Cell, method: str, captioner: Path | None) -> None:
    """Refuse a cell that cannot be run with what there is.

    Raises:
        InputError: naming the option that is missing.
    """
    if cell.attack == "lower-rank" and method != "lora":
        raise InputError("lower-rank strikes a LoRA, and thieves train fully here", "Give --method lora.")
    if cell.attack == "recaption-model" and captioner is None:
        raise InputError("recaption-model needs a model", "Give --captioner FOLDER; recaption needs none.")
    if captioner is not None and not captioner.is_dir():
        raise InputError(f"{captioner} is not a folder", "Give --captioner the folder of an image-to-text model.")


def place_of(attack: str) -> str:
    """Where an attack strikes unless told otherwise."""
    return "training" if attack == "none" else PLACES[find_attack(attack).kind][0]


STANDARD: tuple[tuple[str, float, str], ...] = (
    ("none", 0, "training"),
    ("recaption", 1, "training"),
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
    ("prune", 0.5, "model"),
    ("quantise-weights", 0.8, "model"),
    ("weight-noise", 0.5, "model"),
    ("merge-base", 0.5, "model"),
    ("api-steps", 0.75, "answers"),
    ("api-guidance", 1, "answers"),
    ("api-negative", 1, "answers"),
)
"""Attack, strength, place: the most telling first. JPEG at 0.56 is quality 50, `mix` at a third is 3 clean for each."""


def standard(
    seeds: Iterable[int] = (0,), family: str = RECOMMENDED.family, alignment: str = RECOMMENDED.way
) -> list[Cell]:
    """The standard suite on a kind of release."""
    return [Cell(*struck, family, alignment, seed) for seed in seeds for struck in STANDARD]


def read_suite(path: Path, options: Mapping[str, FamilyOptions]) -> list[Cell]:
    """The cells of a plan file in TOML: tables `[[cell]]` with `attack`, `strength` (number or list) and more.

    Args:
        path: the file.
        options: of families that take or need some.

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
    if not isinstance(tables, list) or not tables or set(plan) != {"cell"} or len(lines) != len(tables):
        raise InputError(f"{path} holds {', '.join(plan) or 'nothing'}", "Write tables [[cell]] and nothing else.")
    found: list[Cell] = []
    for table, line in zip(tables, lines, strict=True):
        try:
            cells = list(_cells(table, options))
            if not cells:
                raise InputError("no strength is given", "Write one, or a list of them.")
            found += cells
        except InputError as error:
            raise InputError(f"{path}, line {line}: {error.what}", error.advice) from None
    names = [c.name for c in found]
    if doubled := sorted({n for n in names if names.count(n) > 1}):
        raise InputError(f"{path} asks for {doubled[0]} twice", "Take one out.")
    return found


_FIELDS: dict[str, Any] = {
    "attack": str,
    "strength": (int, float, list),
    "where": str,
    "family": str,
    "alignment": str,
    "seed": int,
    "innocent": bool,
}


def _cells(table: dict[str, Any], options: Mapping[str, FamilyOptions]) -> Iterator[Cell]:
    if unknown := sorted(set(table) - set(_FIELDS)):
        raise InputError(f"unknown key {unknown[0]!r}", f"Allowed: {', '.join(_FIELDS)}.")
    for key, kind in _FIELDS.items():
        if key in table and (not isinstance(table[key], kind) or isinstance(table[key], bool) != (kind is bool)):
            raise InputError(f"{key} = {table[key]!r} is of the wrong kind", "Names are text, strengths are numbers.")
    if not {"attack", "strength"} <= set(table):
        raise InputError("a cell lacks 'attack' or 'strength'", "Give both.")
    strengths = table["strength"] if isinstance(table["strength"], list) else [table["strength"]]
    for strength in strengths:
        if not isinstance(strength, (int, float)) or isinstance(strength, bool):
            raise InputError(f"strength {strength!r} is no number", "Allowed: 0 to 1.")
        family = table.get("family", RECOMMENDED.family)
        own = options.get(family, {})
        usual = {"where": place_of(table["attack"]), "alignment": Options(family=family, family_options=own).way}
        cell = Cell(**{**usual, **table, "strength": float(strength)})
        cell.check(own)
        yield cell
