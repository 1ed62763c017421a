"""Mark families by name. Others can be added through the entry point group `tracemark.families`."""

from __future__ import annotations

import inspect
import typing

from protect.errors import InputError
from protect.marks.codecs import DwtDct, DwtDctSvd, RivaGan
from protect.marks.interface import FamilyOptions, MarkFamily
from protect.marks.scene import Scene
from protect.marks.spread import Spread
from protect.marks.template import Template
from protect.marks.tint import Tint
from protect.marks.warp import Warp
from protect.plugins import find_class, with_plugins

BUILT_IN: dict[str, type[MarkFamily]] = {
    family.name: family for family in (Template, Scene, Spread, Tint, Warp, DwtDct, DwtDctSvd, RivaGan)
}


def families() -> dict[str, type[MarkFamily]]:
    """All families, built in and installed."""
    return with_plugins("tracemark.families", BUILT_IN, MarkFamily)


def make_family(name: str, options: FamilyOptions) -> MarkFamily:
    """The family `name` with its options.

    Raises:
        InputError: if there is no such family, it has no such option, or the option is of another kind.
    """
    family = find_class("tracemark.families", BUILT_IN, MarkFamily, name)
    allowed = [p for p in inspect.signature(family).parameters if p != "description"]
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(
            f"family {name!r} does not take {', '.join(unknown)}", f"Its options: {', '.join(allowed) or 'none'}."
        )
    # Marks are drawn by what the commitment holds, so a number must not pass for a name nor the other way round.
    hints = typing.get_type_hints(family)
    for option, value in options.items():
        if isinstance(value, str) != (hints.get(option) is str):
            wanted = "a name" if isinstance(value, float) else "a number"
            raise InputError(f"{option}={value} of family {name!r} is not {wanted}", "Change the option.")
    made: MarkFamily = family(**options)
    return made
