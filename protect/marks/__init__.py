"""Mark families by name. Others can be added through the entry point group `tracemark.families`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.marks.card import Card
from protect.marks.codecs import DwtDct, DwtDctSvd, RivaGan
from protect.marks.family import FamilyOptions, MarkFamily
from protect.marks.frame import Frame
from protect.marks.latent import Latent
from protect.marks.lean import Lean
from protect.marks.scene import Scene
from protect.marks.shade import Shade
from protect.marks.spread import Spread
from protect.marks.template import Template
from protect.marks.tint import Tint
from protect.marks.warp import Warp
from protect.plugins import find_class, with_plugins

BUILT_IN: dict[str, type[MarkFamily]] = {
    family.name: family
    for family in (Lean, Shade, Template, Card, Frame, Scene, Spread, Latent, Tint, Warp, DwtDct, DwtDctSvd, RivaGan)
}
_GROUP = "tracemark.families"
_STORE = "store"
_NO_OPTIONS = frozenset({_STORE, "description", "design", "column", "side", "words"})
"""What a family may be made with and an owner does not set."""


def families() -> dict[str, type[MarkFamily]]:
    """All families, built in and installed."""
    return with_plugins(_GROUP, BUILT_IN, MarkFamily)


def family_class(name: str) -> type[MarkFamily]:
    """The family called so, not made yet.

    Raises:
        InputError: if there is none, or its package does not load.
    """
    return find_class(_GROUP, BUILT_IN, MarkFamily, name)


def options_of(name: str) -> FamilyOptions:
    """The options of a family, each with what it is unless given; an empty text must be given.

    Raises:
        InputError: if there is no such family.

    >>> options_of("warp")
    {'strength': 1.5, 'parity': 0}
    """
    parameters = inspect.signature(family_class(name)).parameters.values()
    return {p.name: "" if p.default is p.empty else p.default for p in parameters if p.name not in _NO_OPTIONS}


def make_family(name: str, options: FamilyOptions, store: Store = NO_STORE) -> MarkFamily:
    """The family `name` with its options.

    Args:
        name: as `families` lists them.
        options: values by name.
        store: holds what some families need: pools and bases.

    Raises:
        InputError: if there is no such family, it has no such option, or an option's value is out of range.
    """
    family = family_class(name)
    _check_names(name, options)
    stored = {_STORE: store} if _STORE in inspect.signature(family).parameters else {}
    made: MarkFamily = family(**options, **stored)
    return made


def parse_options(name: str, given: Mapping[str, str]) -> FamilyOptions:
    """Options of family `name` as they were written: names stay, all else are numbers.

    Raises:
        InputError: if there is no such family or it has no such option, or a number cannot be read.
    """
    usual = options_of(name)
    _check_names(name, given)
    options: FamilyOptions = {}
    for option, text in given.items():
        try:
            options[option] = text if isinstance(usual[option], str) else _finite(text)
        except ValueError:
            example = f"For example: --option {option}={usual[option]}."
            raise InputError(f"--option {option}={text} of family {name!r} is not a number", example) from None
    return options


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def parse_options_of(names: Iterable[str], given: Mapping[str, str]) -> dict[str, FamilyOptions]:
    """Options of several families as they were written: FAMILY.NAME and a value.

    Args:
        names: the families that there are options for.
        given: values by FAMILY.NAME.

    Raises:
        InputError: if one is for another family, or the family has no such option, or a number cannot be read.
    """
    known, apart = list(names), dict[str, dict[str, str]]()
    for text, value in given.items():
        name, _, option = text.partition(".")
        if name not in known:
            families_in_use = ", ".join(known)
            raise InputError(
                f"--option {text} is for no family in use ({families_in_use})", "Write it as FAMILY.NAME=VALUE."
            )
        apart.setdefault(name, {})[option] = value
    return {name: parse_options(name, own) for name, own in apart.items()}


def _check_names(family: str, given: Iterable[str]) -> None:
    allowed = options_of(family)
    if unknown := sorted(set(given) - set(allowed)):
        raise InputError(
            f"family {family!r} does not take {', '.join(unknown)}", f"Its options: {', '.join(allowed) or 'none'}."
        )
