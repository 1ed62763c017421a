"""Alignments by name. Others can be added through the entry point group `tracemark.alignments`."""

from __future__ import annotations

from protect.alignments.conjunction import Conjunction
from protect.alignments.description import Description
from protect.alignments.interface import Alignment
from protect.alignments.twa import Twa
from protect.alignments.unconditional import Unconditional
from protect.alignments.waa import Waa
from protect.errors import InputError
from protect.marks import make_family
from protect.marks.interface import MarkFamily
from protect.plugins import with_plugins
from protect.release import Release

BUILT_IN: dict[str, type[Alignment]] = {a.name: a for a in (Twa, Conjunction, Description, Waa, Unconditional)}


def alignments() -> dict[str, type[Alignment]]:
    """All alignments, built in and installed."""
    return with_plugins("tracemark.alignments", BUILT_IN)


def make_alignment(name: str) -> Alignment:
    """The alignment `name`.

    Raises:
        InputError: if there is none.
    """
    known = alignments()
    if name not in known:
        raise InputError(f"unknown alignment {name!r}", f"Choose one of: {', '.join(known)}.")
    return known[name]()


def slot_family(release: Release, slot: int) -> MarkFamily:
    """The law from which a slot's mark and decoys are drawn."""
    family = make_family(release.plan.family, release.plan.family_options)
    return make_alignment(release.plan.alignment).condition(family, release.slots[slot].trigger)
