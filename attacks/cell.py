"""A cell: one attack at one strength on one kind of release, and whether it can be measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from attacks.stages.attack import check_strength
from attacks.stages.registry import NOTHING, find_attack
from protect.alignments import make_alignment
from protect.alignments.description import Description
from protect.errors import InputError
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import FamilyOptions
from protect.release.plan import WORDING


@dataclass(frozen=True, slots=True)
class Cell:
    """One attack at one strength on one kind of release."""

    attack: str
    """Name, or "none"."""
    strength: float
    where: str = "training"
    """Where in the chain it strikes: one of the attack's `places`."""
    family: str = WORDING.family
    alignment: str = WORDING.alignment
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
        """The cell whose model this one asks: attacks after training share the model that was trained without any."""
        cell = self if self.where == "training" else self.plain
        if not self.innocent:
            return cell
        return replace(cell, family=WORDING.family, alignment=WORDING.alignment, seed=0)

    @property
    def plain(self) -> Cell:
        """The same without attack."""
        return replace(self, attack=NOTHING.name, strength=0.0, where=NOTHING.places[0])

    def check(self, options: FamilyOptions, store: Store) -> None:
        """Refuse what cannot be run.

        Args:
            options: of the family.
            store: the pools and bases that they may name.

        Raises:
            InputError: naming the value and what is allowed.
        """
        check_strength(self.strength)
        if self.attack == NOTHING.name and self.strength > 0:
            raise InputError(f"strength {self.strength:g} of no attack", "Write strength = 0.")
        if self.seed < 0:
            raise InputError(f"seed {self.seed} is negative", "Allowed: 0 or more.")
        _check_release(self.family, self.alignment, options, store)
        places = find_attack(self.attack).places
        if self.where not in places:
            raise InputError(
                f"attack {self.attack!r} cannot strike where = {self.where!r}", f"Allowed: {', '.join(places)}."
            )


def _check_release(family: str, alignment: str, options: FamilyOptions, store: Store) -> None:
    law, met = make_family(family, options, store), make_alignment(alignment)
    if met.for_classifiers or (law.needs_pairs and not met.has_trigger):
        raise InputError(f"family {family!r} cannot be measured with alignment {alignment!r}", "See: protect ls")
    if isinstance(met, Description) and not law.descriptions:
        raise InputError(f"family {family!r} cannot be described", "Use another alignment.")


def check_needs(cell: Cell, method: str, captioner: Path | None) -> None:
    """Refuse a cell that cannot be run with what there is.

    Args:
        cell: what is to be measured.
        method: how thieves train.
        captioner: folder of an image-to-text model.

    Raises:
        InputError: naming the option that is missing.
    """
    needs = find_attack(cell.attack).needs
    if needs == "lora" and method != "lora":
        raise InputError(f"{cell.attack} strikes a LoRA, and thieves train fully here", "Give --method lora.")
    if needs == "captioner" and captioner is None:
        raise InputError(f"{cell.attack} needs a model", "Give --captioner FOLDER; recaption needs none.")
    if captioner is not None and not captioner.is_dir():
        raise InputError(f"{captioner} is not a folder", "Give --captioner the folder of an image-to-text model.")
