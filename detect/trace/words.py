"""What tracing found, in words, for people who do not read statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping

from detect.trace.tracing import Tracing

Names = Mapping[int, str]
"""What recipients are called, by serial number, as far as it is known."""
_INNOCENT = (
    "That does not show that no copy was used: marks can fade, be removed or never be learned, and copies that were "
    "put together each show less."
)


def in_words(found: Tracing, names: Names) -> str:
    """What was found about all recipients, and what was not."""
    if found.outcome == "inconclusive":
        return f"No statement can be made: {found.reason}."
    if found.outcome == "nobody":
        return f"Nobody is named: no recipient's marks show enough among {len(found.serials):,}. {_INNOCENT}"
    if found.outcome == "some copy":
        return (
            f"The model learned from at least one recipient's copy of “{found.release.name}”, but whose it was cannot "
            f"be said: no single recipient's marks show enough among {len(found.serials):,}. {_bound(found)}"
        )
    who = ", ".join(called(source.serial, names) for source in found.sources)
    if found.outcome == "named":
        return f"The model learned from the copy of {who}. {_bound(found)} {_MEANING}"
    return (
        f"The model learned from at least two copies: those of {who}. {_bound(found)} Whether they put their copies "
        f"together or somebody else had both, this does not say. {_MEANING}"
    )


_MEANING = "It says whose copy was learned from, not who trained the model: a copy can be passed on or stolen."


def certified_in_words(found: Tracing, names: Names) -> str:
    """What was found about one recipient, who says that the model is its own."""
    who = called(found.serials.start, names)
    if found.outcome == "inconclusive":
        return f"No statement can be made: {found.reason}."
    if found.sources:
        return (
            f"The model learned from the copy of “{found.release.name}” that was given to {who}. A model that learned "
            f"nothing from it would be certified by this test for at most one key in {math.floor(1 / found.alpha):,}. "
            "It does not say that it learned from nothing else."
        )
    return (
        f"The model does not show the marks of {who} enough to be certified. That does not show that it learned from "
        "another copy, or from none: marks can fade or never be learned."
    )


def headline(found: Tracing, names: Names, *, certify: bool = False) -> str:
    """The answer in a few words."""
    if certify and found.outcome != "inconclusive":
        return "certified" if found.sources else "not certified"
    if found.outcome == "named":
        return called(found.sources[0].serial, names)
    return "some copy, and nobody is named" if found.outcome == "some copy" else found.outcome


def summary(found: Tracing, names: Names, *, certify: bool = False) -> str:
    """A few lines for the terminal."""
    recipients, slots = len(found.serials), f"{found.release.plan.slots} slots"
    said = certified_in_words(found, names) if certify else in_words(found, names)
    silent = f" ({len(found.silent)} of them silent)" if found.silent else ""
    counted = f" ({found.among:,} counted, as its answers are known)" if found.among > recipients else ""
    lines = [
        f"{headline(found, names, certify=certify) if certify else found.outcome}: {found.suspect} against release "
        f"{found.release.name}",
        f"  {said}",
        *(f"  {called(one.serial, names)}: E = {one.e_value:.4g}, p = {one.p_value:.2g}" for one in found.sources),
        f"  a name needs E >= {found.threshold:,.0f}; that some copy was used: E = {found.some:.4g} (required "
        f"{found.some_threshold:,.0f})",
        f"  {recipients:,} recipient{'s' * (recipients > 1)} under test{counted}, {found.queries} pictures, "
        f"{slots}{silent}, {found.decoys:,} decoys",
        f"  flags: {', '.join(found.flags) or 'none'}; suspects tested with this release: {found.suspects_tested}; "
        f"looks at this one: {found.plans_tried}; commitments in the keyring: {found.commitments}, "
        f"{found.commitments_before} of them before this one",
        f"  {found.coin}",
    ]
    return "\n".join(lines)


def _bound(found: Tracing) -> str:
    return (
        f"If it had learned from no copy, this test would say so for at most one key in {math.floor(1 / found.alpha):,}"
        + (", and no recipient whose copy it did not learn from is named more often." if found.sources else ".")
    )


def called(serial: int, names: Names) -> str:
    """A recipient by number, and by name where that is known."""
    name = names.get(serial)
    return f"recipient {serial} ({name})" if name else f"recipient {serial}"
