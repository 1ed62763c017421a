"""Which suspects were tested with which releases, by which plans: the price of looking more than once.

The ledger keeps an honest owner honest: it is a file in the keyring, and nothing stops its owner from deleting it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from protect.errors import ReleaseError
from protect.files import lock_file, pretty_json, write_atomic
from protect.keys.keyring import PENDING, RETIRED, Keyring, read_secret
from protect.release.record import Release


class Subject(Protocol):
    """Whatever is tested: text-to-image models and classifiers alike."""

    name: str
    identity: dict[str, str]


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """The place of a test among all tests of its release and of its suspect."""

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


@dataclass(frozen=True, slots=True)
class _Test:
    """One suspect tested with one release by one plan."""

    release: str
    subject: str
    name: str
    plan: str
    first: str
    """When it was entered: UTC, ISO 8601."""
    further: int
    together: list[str]
    """Ids of the releases that one call entered first for this suspect."""
    share: int


@dataclass(slots=True)
class _Control:
    """The largest evidence that one control showed."""

    release: str
    plan: str
    subject: str
    name: str
    e_value: float


@dataclass(slots=True)
class _Ledger:
    """All tests ever entered, oldest first."""

    tests: list[_Test]
    controls: list[_Control]

    def controls_of(self, release: Release, plan: str) -> list[_Control]:
        """Those that were asked under a release and a plan."""
        return [c for c in self.controls if c.release == release.id and c.plan == plan]


def register(
    keyring: Keyring, releases: Sequence[Release], release: Release, suspect: Subject, plan: str
) -> LedgerPlace:
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
        here = [t for t in ledger.tests if t.subject == subject and t.release == release.id]
        entry = next((t for t in here if t.plan == plan), None)
        new = entry is None
        if entry is None:
            together, share = _share([t for t in ledger.tests if t.subject == subject], releases, release)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            entry = _Test(release.id, subject, suspect.name, plan, now, len(here), together, share)
            ledger.tests.append(entry)
        return LedgerPlace(
            further_plans=entry.further,
            plans_tried=len(here) + new,
            share=entry.share,
            suspects_tested=len({t.subject for t in ledger.tests if t.release == release.id}),
            control_e_value=max((c.e_value for c in ledger.controls_of(release, plan)), default=0.0),
            new=new,
        )


def withdraw(keyring: Keyring, release: Release, suspect: Subject, plan: str) -> None:
    """Take out a test that gave not a single picture: there was nothing to look at."""
    key = (release.id, subject_of(suspect), plan)
    with _opened(keyring) as ledger:
        ledger.tests = [t for t in ledger.tests if (t.release, t.subject, t.plan) != key]


def count_suspects(keyring: Keyring, release: Release) -> int:
    """Different suspects ever tested with a release."""
    with _opened(keyring) as ledger:
        return len({t.subject for t in ledger.tests if t.release == release.id})


def _share(earlier: list[_Test], releases: Sequence[Release], release: Release) -> tuple[list[str], int]:
    """Which releases were first entered together with this one, and its share of the level.

    The first call spends alpha, the next one that adds releases half of it, and so on: 2 alpha in all.
    """
    for test in earlier:
        if release.id in test.together:
            return test.together, test.share
    known = {name for test in earlier for name in test.together}
    together = sorted({r.id for r in releases} - known | {release.id})
    calls = len({tuple(test.together) for test in earlier})
    return together, len(together) * 2**calls


def register_control(keyring: Keyring, release: Release, control: Subject, plan: str, e_value: float) -> None:
    """Remember what a control showed: an unlucky key stays unlucky, whether or not the control is given again."""
    with _opened(keyring) as ledger:
        subject = subject_of(control)
        known = [c for c in ledger.controls_of(release, plan) if c.subject == subject]
        if known:
            known[0].e_value = max(known[0].e_value, e_value)
        else:
            ledger.controls.append(_Control(release.id, plan, subject, control.name, e_value))


def subject_of(suspect: Subject) -> str:
    """What makes two suspects the same: their own weights, whatever base or software they run on."""
    return suspect.identity.get("adapter") or suspect.identity["weights"]


def setting_of(suspect: Subject) -> dict[str, str]:
    """Everything else its outputs depend on: base, scheduler, precision, library versions. Part of the plan."""
    return {k: v for k, v in suspect.identity.items() if k not in ("adapter", "weights")}


def commitments_held(keyring: Keyring) -> int:
    """Commitments whose records the keyring holds: released, waiting, under way, or retired; damaged ones too.

    One commitment is one try to get a lucky key, so a reader of a verdict wants to know how many there were.
    """
    listings = (keyring.survey(), keyring.commitments())
    retired = len(list((keyring.home / RETIRED).glob("*.json")))
    under_way = len(list((keyring.home / PENDING).glob("*/release.json")))
    return retired + under_way + sum(len(held) + len(problems) for held, problems in listings)


@contextmanager
def _opened(keyring: Keyring) -> Iterator[_Ledger]:
    """The ledger, locked against other processes, written back if it changed."""
    path = keyring.folder("ledger") / "ledger.json"
    with path.with_suffix(".lock").open("w") as lock:
        lock_file(lock.fileno(), wait=True)
        ledger = _read(path)
        before = pretty_json(asdict(ledger))
        yield ledger
        if (after := pretty_json(asdict(ledger))) != before:
            write_atomic(path, after, mode=0o600)


def _read(path: Path) -> _Ledger:
    if not path.exists():
        return _Ledger([], [])
    try:
        rows = json.loads(read_secret(path))
        return _Ledger([_Test(**row) for row in rows["tests"]], [_Control(**row) for row in rows["controls"]])
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"{path}: damaged ledger", "Restore it from a backup: it keeps the level honest.") from None
