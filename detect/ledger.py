"""Which suspects were tested with which releases, by which plans: the price of looking more than once.

The ledger keeps an honest owner honest: it is a file in the keyring, and nothing stops its owner from deleting it.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from detect.suspects.interface import Suspect
from protect.errors import ReleaseError
from protect.files import pretty_json, write_atomic
from protect.release import Keyring, Release, read_secret


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a test stands among all tests of its release and of its suspect."""

    further_plans: int
    """Different plans entered before this one for the same release and suspect: i; the level is alpha / 2^i."""
    plans_tried: int
    """Different plans entered so far for the same release and suspect."""
    releases: int
    """R: releases of this keyring the suspect was tested with when this test was first entered."""
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    control_e_value: float
    """The largest evidence any control ever showed under this release and plan; 0 if none was asked."""


def register(
    keyring: Keyring, releases: Sequence[Release], release: Release, suspect: Suspect, plan: str, *,
    answered: bool = True,
) -> Standing:  # fmt: skip
    """Enter a test before anything is scored; entering it again changes nothing.

    Args:
        keyring: holds the ledger.
        releases: all releases about to be tested on the suspect, `release` among them.
        release: the release under test.
        suspect: the model under test.
        plan: name of the query plan (`QueryPlan.digest`).
        answered: whether the suspect gave pictures; a test that gave nothing to look at is not entered.
    """
    subject = subject_of(suspect)
    with _opened(keyring) as ledger:
        tests = ledger["tests"]
        mine = [t for t in tests if t["subject"] == subject]
        here = [t for t in mine if t["release"] == release.id]
        entry = next((t for t in here if t["plan"] == plan), None)
        if entry is None:
            entry = {
                "release": release.id, "subject": subject, "name": suspect.name, "plan": plan,
                "first": datetime.now(UTC).isoformat(timespec="seconds"), "further": len(here),
                "releases": len({t["release"] for t in mine} | {r.id for r in releases}),
            }  # fmt: skip
            if answered:
                tests.append(entry)
        return Standing(
            further_plans=entry["further"],
            plans_tried=len([t for t in tests if t["subject"] == subject and t["release"] == release.id]),
            releases=entry["releases"],
            suspects_tested=len({t["subject"] for t in tests if t["release"] == release.id}),
            control_e_value=max((c["e_value"] for c in _controls(ledger, release, plan)), default=0.0),
        )


def register_control(keyring: Keyring, release: Release, control: Suspect, plan: str, e_value: float) -> None:
    """Remember what a control showed: an unlucky key stays unlucky, whether or not the control is given again."""
    with _opened(keyring) as ledger:
        subject = subject_of(control)
        known = [c for c in _controls(ledger, release, plan) if c["subject"] == subject]
        if known:
            known[0]["e_value"] = max(known[0]["e_value"], e_value)
        else:
            entry = {"release": release.id, "plan": plan, "subject": subject, "name": control.name, "e_value": e_value}
            ledger["controls"].append(entry)


def subject_of(suspect: Suspect) -> str:
    """What makes two suspects the same: their own weights, whatever base or software they run on."""
    return suspect.identity.get("adapter") or suspect.identity["weights"]


def setting_of(suspect: Suspect) -> dict[str, str]:
    """Everything else its outputs depend on: base, scheduler, precision, library versions. Part of the plan."""
    return {k: v for k, v in suspect.identity.items() if k not in ("adapter", "weights")}


def _controls(ledger: dict[str, Any], release: Release, plan: str) -> list[dict[str, Any]]:
    return [c for c in ledger["controls"] if c["release"] == release.id and c["plan"] == plan]


@contextmanager
def _opened(keyring: Keyring) -> Iterator[dict[str, Any]]:
    """The ledger, locked against other processes, written back if it changed."""
    path = keyring.folder("ledger") / "ledger.json"
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ledger = _read(path)
        before = pretty_json(ledger)
        yield ledger
        if pretty_json(ledger) != before:
            write_atomic(path, pretty_json(ledger), mode=0o600)


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"tests": [], "controls": []}
    try:
        ledger = json.loads(read_secret(path))
        whole = all({"release", "subject", "plan", "further", "releases"} <= set(t) for t in ledger["tests"])
        whole = whole and all({"release", "plan", "subject", "e_value"} <= set(c) for c in ledger["controls"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ReleaseError(f"{path}: damaged ledger", "Restore it from a backup: it keeps the level honest.")
    return dict(ledger)
