"""Mark families by name. Others can be added through the entry point group `tracemark.families`."""

from __future__ import annotations

import inspect

from protect.errors import InputError
from protect.marks.codecs import DwtDct, DwtDctSvd, RivaGan
from protect.marks.interface import MarkFamily
from protect.marks.spread import Spread
from protect.marks.template import Template
from protect.marks.tint import Tint
from protect.marks.warp import Warp
from protect.plugins import find_class, with_plugins

BUILT_IN: dict[str, type[MarkFamily]] = {
    family.name: family for family in (Template, Spread, Tint, Warp, DwtDct, DwtDctSvd, RivaGan)
}


def families() -> dict[str, type[MarkFamily]]:
    """All families, built in and installed."""
    return with_plugins("tracemark.families", BUILT_IN, MarkFamily)


def make_family(name: str, options: dict[str, float]) -> MarkFamily:
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
    return family(**options)
