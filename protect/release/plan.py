"""What the owner decides about a release."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from protect.errors import InputError
from protect.marks import family_class
from protect.marks.family import FamilyOptions

STEPS = (1, 1_000)
GUIDANCE = (1.0, 50.0)
MOST_SLOTS = 64


def check_range(name: str, value: float | None, low: float, high: float) -> None:
    """Refuse a value outside [low, high]; None stands for a default.

    Raises:
        InputError: naming the value and the allowed range.
    """
    if value is not None and not low <= value <= high:
        raise InputError(f"{name} {value} is out of range", f"Allowed: {low:g} to {high:g}.")


@dataclass(frozen=True, slots=True)
class PartOptions:
    """What the owner decides about slots of one family."""

    rate: float = 0.02
    family: str = "template"
    alignment: str = ""
    """Name; empty for what suits the family."""
    family_options: FamilyOptions = field(default_factory=dict)
    alignment_options: dict[str, str] = field(default_factory=dict)
    slots: int | None = None
    queries: int | None = None

    @property
    def alignment_name(self) -> str:
        """What suits the family, unless told otherwise."""
        return self.alignment or family_class(self.family).usual_alignment

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed range.
        """
        check_range("--rate", self.rate, 1e-6, 1.0)
        check_range("--slots", self.slots, 1, MOST_SLOTS)
        check_range("--queries", self.queries, 1, 10_000)


@dataclass(frozen=True, slots=True)
class Options(PartOptions):
    """What the owner decides about a release; `usual_part` has what is recommended."""

    besides: tuple[PartOptions, ...] = ()
    """Further parts of the release: slots of other families."""
    decoys: int = 9_999
    alpha: float = 1e-3
    steps: int = 20
    guidance: float = 3.0
    recipients: bool = False
    """Whether every recipient gets a copy of its own, and nobody the release as such."""

    @classmethod
    def of(cls, part: PartOptions, *besides: PartOptions, **test: Any) -> Options:
        """The options of a release with these parts.

        Args:
            part: the first.
            besides: the others.
            test: decoys, level, sampler and the rest, by name, where they are not the usual ones.
        """
        return cls(**{f.name: getattr(part, f.name) for f in fields(PartOptions)}, besides=besides, **test)

    @property
    def parts(self) -> tuple[PartOptions, ...]:
        """All parts, in the order of their slots."""
        own = PartOptions(**{f.name: getattr(self, f.name) for f in fields(PartOptions)})
        return own, *self.besides

    def settled(self) -> dict[str, Any]:
        """All values by name, the alignments' written out: what a resumed run compares itself with."""
        parts = [asdict(part) | {"alignment": part.alignment_name} for part in self.parts]
        return {f.name: getattr(self, f.name) for f in fields(Options)[-5:]} | {"parts": parts}

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed range.
        """
        for part in self.parts:
            part.check()
        check_range("--decoys", self.decoys, 99, 1_000_000)
        check_range("--alpha", self.alpha, 1e-9, 0.5)
        check_range("--steps", self.steps, *STEPS)
        check_range("--guidance", self.guidance, *GUIDANCE)


WORDING = PartOptions(rate=0.5, family="lean", alignment="wording")
"""The recommended release: no picture changes, and at most half of the captions do."""
FEW = PartOptions(rate=0.02, family="lean", alignment="wording", family_options={"push": 2.0})
"""What is recommended for owners who want few samples to change: carriers look like ordinary light and colour."""
SHADE = PartOptions(rate=0.6, family="shade", alignment="waa-many")
"""What is added for captions that are written anew (--both)."""
PUSHED_BELOW = 0.2
"""Below this rate so few captions change that their pictures are pushed, too."""


def usual_part(rate: float | None = None, family: str = "", alignment: str = "") -> PartOptions:
    """What is recommended, as far as the owner leaves it open.

    Args:
        rate: largest share of samples that change; None for the usual one.
        family: None that the owner named: empty.
        alignment: likewise.
    """
    if family == SHADE.family:
        return replace(SHADE, rate=SHADE.rate if rate is None else rate, alignment=alignment or SHADE.alignment)
    if family not in ("", WORDING.family):
        return PartOptions(rate=FEW.rate if rate is None else rate, family=family, alignment=alignment)
    part = WORDING if rate is None or rate >= PUSHED_BELOW else FEW
    return replace(part, rate=part.rate if rate is None else rate, alignment=alignment or part.alignment)


RECOMMENDED = Options()
"""Decoys, level and sampler unless told otherwise."""
AUTO = "[what suits family and rate]"
"""How commands name the usual alignment."""
