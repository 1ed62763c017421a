"""Mark families by name. Others can be added through the entry point group `tracemark.families`."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping

from protect.errors import InputError
from protect.marks.card import Card
from protect.marks.codecs import DwtDct, DwtDctSvd, RivaGan
from protect.marks.family import FamilyOptions, MarkFamily
from protect.marks.latent import Latent
from protect.marks.scene import Scene
from protect.marks.spread import Spread
from protect.marks.template import Template
from protect.marks.tint import Tint
from protect.marks.warp import Warp
from protect.plugins import find_class, with_plugins

BUILT_IN: dict[str, type[MarkFamily]] = {
    family.name: family for family in (Template, Card, Scene, Spread, Latent, Tint, Warp, DwtDct, DwtDctSvd, RivaGan)
}


def families() -> dict[str, type[MarkFamily]]:
    """All families, built in and installed."""
    return with_plugins("tracemark.families", BUILT_IN, MarkFamily)


def make_family(name: str, options: FamilyOptions) -> MarkFamily:
    """The family `name` with its options.

    Raises:
        InputError: if there is no such family or it has no such option.
    """
    family = find_class("tracemark.families", BUILT_IN, MarkFamily, name)
    allowed = [p for p in inspect.signature(family).parameters if p != "description"]
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(
            f"family {name!r} does not take {', '.join(unknown)}", f"Its options: {', '.join(allowed) or 'none'}."
        )
    made: MarkFamily = family(**options)
    return made


def parse_options(name: str, given: Mapping[str, str]) -> FamilyOptions:
    """Options of family `name` as they were written: names stay, all else are numbers.

    Raises:
        InputError: if there is no such family, or a number cannot be read.
    """
    family = find_class("tracemark.families", BUILT_IN, MarkFamily, name)
    fields: tuple[dataclasses.Field[object], ...] = (
        dataclasses.fields(family) if dataclasses.is_dataclass(family) else ()
    )
    names = {f.name for f in fields if f.type in (str, "str")}
    options: FamilyOptions = {}
    for option, text in given.items():
        try:
            options[option] = text if option in names else float(text)
        except ValueError:
            raise InputError(f"{option}={text} of family {name!r} is not a number", "Change the option.") from None
    return options


def parse_options_of(names: Iterable[str], given: Mapping[str, str]) -> dict[str, FamilyOptions]:
    """Options of several families as they were written: FAMILY.NAME and a value.

    Args:
        names: the families that there are options for.
        given: values by FAMILY.NAME.

    Raises:
        InputError: if one is for another family, or a number cannot be read.
    """
    known, apart = set(names), dict[str, dict[str, str]]()
    for text, value in given.items():
        name, _, option = text.partition(".")
        if name not in known:
            raise InputError(f"--option {text} is for no family in use", "Write it as FAMILY.NAME=VALUE.")
        apart.setdefault(name, {})[option] = value
    return {name: parse_options(name, own) for name, own in apart.items()}
