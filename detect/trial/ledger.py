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
from typing import Any, Protocol

from protect.errors import ReleaseError
from protect.files import pretty_json, write_atomic
from protect.release.record import Keyring, Release, read_secret


class Subject(Protocol):
    """Whatever is tested: text-to-image models and classifiers alike."""

    name: str
    identity: dict[str, str]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a test stands among all tests of its release and of its suspect."""

    further_plans: int
    """Different plans entered before this one for the same release and suspect: i; the level is alpha / 2^i."""
    plans_tried: int
    """Different plans entered so far for the same release and suspect."""
    share: int
    """The release's part of the level is alpha over this: R · 2^b for R releases first entered by one call, after b
    earlier calls that entered others for the same suspect."""
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""
    control_e_value: float
    """The largest evidence any control ever showed under this release and plan; 0 if none was asked."""
    new: bool
    """Whether this call entered the test."""


def register(keyring: Keyring, releases: Sequence[Release], release: Release, suspect: Subject, plan: str) -> Standing:
    """Enter a test before its first query; entering it again changes nothing.

    Args:
        keyring: holds the ledger.
        releases: all releases about to be tested on the suspect, `release` among them.
        release: the release under test.
        suspect: the model under test.
        plan: name of the query plan (`QueryPlan.digest`).
    """
    subject = subject_of(suspect)
    with _opened(keyring) as ledger:
        tests = ledger["tests"]
        here = [t for t in tests if t["subject"] == subject and t["release"] == release.id]
        entry = next((t for t in here if t["plan"] == plan), None)
        new = entry is None
        if entry is None:
            together, share = _share([t for t in tests if t["subject"] == subject], releases, release)
            entry = {
                "release": release.id,
                "subject": subject,
                "name": suspect.name,
                "plan": plan,
                "first": datetime.now(UTC).isoformat(timespec="seconds"),
                "further": len(here),
                "together": together,
                "share": share,
            }
            tests.append(entry)
        return Standing(
            further_plans=entry["further"],
            plans_tried=len([t for t in tests if t["subject"] == subject and t["release"] == release.id]),
            share=entry["share"],
            suspects_tested=len({t["subject"] for t in tests if t["release"] == release.id}),
            control_e_value=max((c["e_value"] for c in _controls(ledger, release, plan)), default=0.0),
            new=new,
        )


def withdraw(keyring: Keyring, release: Release, suspect: Subject, plan: str) -> None:
    """Strike out a test that gave not a single picture: there was nothing to look at."""
    key = (release.id, subject_of(suspect), plan)
    with _opened(keyring) as ledger:
        ledger["tests"] = [t for t in ledger["tests"] if (t["release"], t["subject"], t["plan"]) != key]


def _share(earlier: list[dict[str, Any]], releases: Sequence[Release], release: Release) -> tuple[list[str], int]:
    """Which releases were first entered together with this one, and its share of the level.

    The first call spends alpha, the next one that adds releases half of it, and so on: 2 alpha in all.
    """
    for test in earlier:
        if release.id in test["together"]:
            return test["together"], test["share"]
    known = {name for test in earlier for name in test["together"]}
    together = sorted({r.id for r in releases} - known | {release.id})
    calls = len({tuple(test["together"]) for test in earlier})
    return together, len(together) * 2**calls


def register_control(keyring: Keyring, release: Release, control: Subject, plan: str, e_value: float) -> None:
    """Remember what a control showed: an unlucky key stays unlucky, whether or not the control is given again."""
    with _opened(keyring) as ledger:
        subject = subject_of(control)
        known = [c for c in _controls(ledger, release, plan) if c["subject"] == subject]
        if known:
            known[0]["e_value"] = max(known[0]["e_value"], e_value)
        else:
            entry = {"release": release.id, "plan": plan, "subject": subject, "name": control.name, "e_value": e_value}
            ledger["controls"].append(entry)


def subject_of(suspect: Subject) -> str:
    """What makes two suspects the same: their own weights, whatever base or software they run on."""
    return suspect.identity.get("adapter") or suspect.identity["weights"]


def setting_of(suspect: Subject) -> dict[str, str]:
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
        whole = all({"release", "subject", "plan", "further", "together", "share"} <= set(t) for t in ledger["tests"])
        whole = whole and all({"release", "plan", "subject", "e_value"} <= set(c) for c in ledger["controls"])
    except (ValueError, KeyError, TypeError):
        whole = False
    if not whole:
        raise ReleaseError(f"{path}: damaged ledger", "Restore it from a backup: it keeps the level honest.")
    return dict(ledger)
