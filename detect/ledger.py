"""Which suspects were tested with a release, and by which plans: the price of looking more than once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from detect.suspects.interface import Suspect
from protect.errors import ReleaseError
from protect.files import pretty_json, write_atomic
from protect.release import Keyring, Release, read_secret


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a test stands among all tests of its release."""

    further_plans: int
    """Different plans tried before on this release and suspect: i; the level is alpha / 2^i."""
    suspects_tested: int
    """Different suspects ever tested with this release, this one included."""


def register(keyring: Keyring, release: Release, suspect: Suspect, plan: str) -> Standing:
    """Enter a test before its first query; entering it again changes nothing.

    Args:
        keyring: holds the ledger.
        release: the release under test.
        suspect: the model under test.
        plan: name of the query plan (`QueryPlan.digest`).
    """
    path = keyring.folder("ledger") / f"{release.id}.json"
    entries = _read(path)
    subject = subject_of(suspect)
    plans = [e["plan"] for e in entries if e["subject"] == subject]
    if plan not in plans:
        when = datetime.now(UTC).isoformat(timespec="seconds")
        entries.append({"subject": subject, "name": suspect.name, "plan": plan, "first": when})
        write_atomic(path, pretty_json(entries), mode=0o600)
        plans.append(plan)
    return Standing(plans.index(plan), len({e["subject"] for e in entries}))


def subject_of(suspect: Suspect) -> str:
    """What makes two suspects the same: their own weights, whatever base or software they run on."""
    return suspect.identity.get("adapter") or suspect.identity["weights"]


def base_of(suspect: Suspect) -> str:
    """Hash of the base a LoRA is judged on; "" for a whole pipeline."""
    return suspect.identity.get("base", "")


def _read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    try:
        entries = json.loads(read_secret(path))
    except ValueError:
        raise ReleaseError(f"{path}: damaged ledger", "Restore it from a backup: it keeps the level honest.") from None
    return list(entries)
