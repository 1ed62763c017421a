"""Rows of details that every page about a tested suspect has: the release first, the models and versions last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detect.trace.tracing import Tracing
    from detect.trial.verdict import Verdict


def release_rows(found: Verdict | Tracing) -> list[tuple[str, str]]:
    """The release, its commitment and its coin."""
    release = found.release
    return [
        ("release", f"{release.name} ({release.id}), created {release.created}"),
        ("commitment", release.commitment),
        ("public coin", found.coin),
        ("commitments in the keyring", f"{found.commitments}, {found.commitments_before} of them before this one"),
    ]


def model_rows(found: Verdict | Tracing) -> list[tuple[str, str]]:
    """Reference, control and suspect, and the versions of what tested them."""
    rows = [(f"reference: {key}", value) for key, value in sorted((found.reference or {}).items())]
    if found.control_e_value is not None:
        rows.append(("control", f"E = {found.control_e_value:.3g}"))
    rows += [(f"suspect: {key}", value) for key, value in found.identity.items()]
    return rows + [(f"version: {key}", value) for key, value in found.versions.items()]
