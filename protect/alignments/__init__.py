"""Alignments by name. Others can be added through the entry point group `tracemark.alignments`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType

from protect.alignments.alignment import Alignment
from protect.alignments.conjunction import Conjunction
from protect.alignments.description import Description
from protect.alignments.double import Double
from protect.alignments.label import Label
from protect.alignments.twa import Twa
from protect.alignments.unconditional import Unconditional
from protect.alignments.waa import Waa
from protect.alignments.waa_many import WaaMany
from protect.alignments.wording import Wording
from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.plugins import find_class, with_plugins
from protect.release.record import Part, Release

BUILT_IN: dict[str, type[Alignment]] = {
    a.name: a for a in (Wording, Twa, Conjunction, Description, Double, Waa, WaaMany, Unconditional, Label)
}


def alignments() -> dict[str, type[Alignment]]:
    """All alignments, built in and installed."""
    return with_plugins("tracemark.alignments", BUILT_IN, Alignment)


def make_alignment(name: str, options: Mapping[str, str] = MappingProxyType({}), store: Store = NO_STORE) -> Alignment:
    """The alignment `name`.

    Args:
        name: as `alignments` lists them.
        options: values by name.
        store: holds what some alignments need: lists of wordings.

    Raises:
        InputError: if there is none, or it has no such option.
    """
    kind = find_class("tracemark.alignments", BUILT_IN, Alignment, name)
    allowed = inspect.signature(kind).parameters
    if unknown := sorted(set(options) - set(allowed)):
        raise InputError(f"alignment {name!r} does not take {', '.join(unknown)}", "Use another --alignment.")
    stored = {"store": store} if "store" in allowed else {}
    made: Alignment = kind(**options, **stored)
    return made


def committed_alignment(part: Part, store: Store = NO_STORE) -> Alignment:
    """The alignment that a part of a release was committed to.

    Raises:
        InputError: if only another version is installed.
    """
    made = make_alignment(part.alignment.partition("/")[0], part.alignment_options, store)
    if made.label != part.alignment:
        raise InputError(
            f"the release was committed to alignment {part.alignment!r}; this program has {made.label!r}",
            "Use the program version that embedded it.",
        )
    return made


def is_for_classifiers(release: Release) -> bool:
    """Whether a release marks pictures for classifiers. Alignments that are not installed count as text-to-image."""
    try:
        return committed_alignment(release.plan.parts[0]).for_classifiers
    except InputError:
        return False
