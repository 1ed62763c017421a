"""Mark families by name."""

from __future__ import annotations

from protect.errors import InputError
from protect.marks.interface import MarkFamily
from protect.marks.spread import Spread
from protect.marks.template import Template

FAMILIES: dict[str, type[MarkFamily]] = {family.name: family for family in (Template, Spread)}


def make_family(name: str, options: dict[str, float]) -> MarkFamily:
    """The family `name` with its options.

    Raises:
        InputError: if there is no such family or it has no such option.
    """
    if name not in FAMILIES:
        raise InputError(f"unknown mark family {name!r}", f"Choose one of: {', '.join(FAMILIES)}.")
    try:
        return FAMILIES[name](**options)
    except TypeError:
        raise InputError(f"family {name!r} does not take {sorted(options)}", "Drop the option.") from None
