"""The ledger's file in the keyring: every look at a suspect, and the transcripts of what was answered beside it.

The ledger keeps an honest owner honest: it is a file in the keyring, and nothing stops its owner from deleting it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from detect.trial.answers import digest
from detect.trial.levels import Ledger
from detect.trial.looks import ControlShown, Known, Look, Place, ScoredSlot
from detect.trial.transcript import Transcript, transcript_from
from protect.clock import now
from protect.errors import InputError, ReleaseError
from protect.files import lock_file, pretty_json, private_folder, write_atomic
from protect.keys.keyring import PENDING, RELEASES, RETIRED, WAITING, Keyring, read_secret
from protect.release.record import Release

FOLDER, FILE, TRANSCRIPTS = "ledger", "ledger.json", "transcripts"


class Subject(Protocol):
    """Whatever is tested: text-to-image models and classifiers alike."""

    name: str
    identity: dict[str, str]


@contextmanager
def opened(keyring: Keyring) -> Iterator[Ledger]:
    """The ledger, locked against other processes, written back if it changed.

    Raises:
        ReleaseError: if it is damaged.
    """
    path = keyring.folder(FOLDER) / FILE
    with path.with_suffix(".lock").open("w") as lock:
        lock_file(lock.fileno(), wait=True)
        before = read_secret(path) if path.exists() else b""
        ledger = _read(before, path)
        yield ledger
        after = pretty_json(asdict(ledger))
        if after != before and (before or ledger != Ledger()):
            write_atomic(path, after, mode=0o600)


def register(
    keyring: Keyring,
    releases: Sequence[Release],
    release: Release,
    suspect: Subject,
    plan: str,
    *,
    departs: bool = False,
    anew: bool = False,
    recipients: range = range(0),
    issued: int = 0,
) -> Place:
    """Enter a test before its first question; entering it again changes nothing, unless it is to be asked anew.

    Args:
        keyring: holds the ledger.
        releases: all releases about to be tested on the suspect, `release` among them.
        release: the release under test.
        suspect: the model under test, told by its files; by its answers too where it was asked the probe
            (`detect.trial.probe.recognise`).
        plan: name of the plan (`QueryPlan.digest`).
        departs: whether the plan leaves what was committed to.
        anew: enter one more look, at answers to come; a look that is not finished goes on instead.
        recipients: whose marks are held against the answers, by number; nobody's for a release with one copy for all.
        issued: how many recipients ever had a copy.
    """
    with opened(keyring) as ledger:
        subject = ledger.recognise(subject_of(suspect), digest(suspect.identity))
        files = subject_of(suspect)
        look, last = ledger.current(release.id, subject, plan, files), ledger.last(release.id, subject, plan)
        if anew and last is not None:
            look = None if last.finished(release.plan.slots, release.plan.alpha) else last
        if new := look is None:
            look = ledger.enter(
                release.id,
                [r.id for r in releases],
                subject,
                suspect.name,
                plan,
                departs=departs,
                now=now(),
                asked_anew=last.asked_anew + anew if last else 0,
                files=files,
                recipients=recipients,
                issued=issued,
            )
        return ledger.place(look, new)


def register_control(
    keyring: Keyring, release: Release, control: Subject, plan: str, e_value: float, slots: int = 0
) -> None:
    """Remember what a control showed under a release and plan (see `Ledger.show_control`)."""
    with opened(keyring) as ledger:
        subject = ledger.recognise(subject_of(control), digest(control.identity))
        ledger.show_control(release.id, plan, subject, control.name, e_value, slots)


def count_suspects(keyring: Keyring, release: Release) -> int:
    """Different suspects ever tested with a release."""
    with opened(keyring) as ledger:
        return ledger.count_suspects(release.id)


def looked_at(keyring: Keyring, release: Release, suspect: Subject) -> bool:
    """Whether the ledger holds a look at these very weights for a release."""
    with opened(keyring) as ledger:
        return any((look.release, look.files) == (release.id, subject_of(suspect)) for look in ledger.looks)


def subject_of(suspect: Subject) -> str:
    """Hash of a suspect's own weights, whatever base or software they run on."""
    return suspect.identity.get("adapter") or suspect.identity["weights"]


def setting_of(suspect: Subject) -> dict[str, str]:
    """Everything else its outputs depend on: base, scheduler, precision, library versions. Part of the plan."""
    return {k: v for k, v in suspect.identity.items() if k not in ("adapter", "weights")}


def commitments_held(keyring: Keyring) -> int:
    """Commitments whose records the keyring holds: released, waiting, under way, or retired; damaged ones too. Each
    counts once.

    One commitment is one try to get a lucky key, so a reader of a verdict wants to know how many there were.
    """
    folders = (keyring.home / name for name in (RELEASES, WAITING, RETIRED))
    known = {path.stem for folder in folders for path in folder.glob("*.json")}
    return len(known | {_under_way(path) for path in (keyring.home / PENDING).glob("*/release.json")})


def _under_way(record: Path) -> str:
    """The id of an embedding under way, which may be known elsewhere, too; if it is damaged, its place."""
    try:
        return str(json.loads(record.read_bytes())["id"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return str(record)


def keep_transcript(keyring: Keyring, transcript: Transcript) -> str:
    """Keep a transcript without its pictures, readable by the owner only; returns its digest."""
    folder = private_folder(keyring.folder(FOLDER) / TRANSCRIPTS)
    write_atomic(folder / f"{transcript.digest}.json", transcript.to_json(), mode=0o600)
    return transcript.digest


def kept_transcript(keyring: Keyring, name: str) -> Transcript:
    """A transcript by its digest, without its pictures.

    Raises:
        ReleaseError: if it is not there, or damaged.
    """
    path = keyring.folder(FOLDER) / TRANSCRIPTS / f"{name}.json"
    try:
        transcript = transcript_from(json.loads(read_secret(path)))
    except (ValueError, InputError):
        transcript = None
    if transcript is None or transcript.digest != name:
        raise ReleaseError(f"{path}: damaged transcript", "Restore it from a backup: it keeps the level honest.")
    return transcript


def forget_transcript(keyring: Keyring, name: str) -> None:
    """Remove a transcript that a longer one replaces."""
    if name:
        (keyring.folder(FOLDER) / TRANSCRIPTS / f"{name}.json").unlink(missing_ok=True)


def _read(data: bytes, path: Path) -> Ledger:
    if not data and not path.exists():
        return Ledger()
    try:
        rows = json.loads(data)
        return Ledger(
            [Known(**row) for row in rows["subjects"]],
            [_look(row) for row in rows["looks"]],
            [ControlShown(**row) for row in rows["controls"]],
        )
    except (ValueError, KeyError, TypeError):
        raise ReleaseError(f"{path}: damaged ledger", "Restore it from a backup: it keeps the level honest.") from None


def _look(row: dict[str, Any]) -> Look:
    return Look(**{**row, "slots": [ScoredSlot(**slot) for slot in row["slots"]]})
