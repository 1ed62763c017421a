"""Alignments by name. Others can be added through the entry point group `tracemark.alignments`."""

from __future__ import annotations

from protect.alignments.alignment import Alignment
from protect.alignments.conjunction import Conjunction
from protect.alignments.description import Description
from protect.alignments.double import Double
from protect.alignments.label import Label
from protect.alignments.twa import Twa
from protect.alignments.unconditional import Unconditional
from protect.alignments.waa import Waa
from protect.errors import InputError
from protect.plugins import find_class, with_plugins
from protect.release.record import Plan, Release

BUILT_IN: dict[str, type[Alignment]] = {
    a.name: a for a in (Twa, Conjunction, Description, Double, Waa, Unconditional, Label)
}


def alignments() -> dict[str, type[Alignment]]:
    """All alignments, built in and installed."""
    return with_plugins("tracemark.alignments", BUILT_IN, Alignment)


def make_alignment(name: str) -> Alignment:
    """The alignment `name`.

    Raises:
        InputError: if there is none.
    """
    return find_class("tracemark.alignments", BUILT_IN, Alignment, name)()


def committed_alignment(plan: Plan) -> Alignment:
    """The alignment a release was committed to.

    Raises:
        InputError: if only another version is installed.
    """
    made = make_alignment(plan.alignment.partition("/")[0])
    if made.label != plan.alignment:
        raise InputError(
            f"the release was committed to alignment {plan.alignment!r}; this program has {made.label!r}",
            "Use the program version that embedded it.",
        )
    return made


def is_for_classifiers(release: Release) -> bool:
    """Whether a release marks pictures for classifiers. Alignments that are not installed count as text-to-image."""
    try:
        return committed_alignment(release.plan).for_classifiers
    except InputError:
        return False
