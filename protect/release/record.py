"""A release: the secret record of one protected copy, its public commitment, and the keyring."""

from __future__ import annotations

import dataclasses
import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protect.errors import ReleaseError
from protect.files import default_home, pretty_json, write_atomic
from protect.keys.tree import Ids, commitment, decoy_ids, mark_id
from protect.marks.family import FamilyOptions
from protect.marks.stored import FOLDERS, stored_name

RECORD_VERSION = 1
NO_COIN = ""
"""Public randomness that enters the marks: none yet, so every verdict is flagged `no-public-coin`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is committed to before a release and never changed: the marks' law and the test to come."""

    family: str
    family_options: FamilyOptions
    family_version: int
    alignment: str
    rate: float
    slots: int
    carriers: int
    dataset_sha256: str
    """Over all (key, caption) pairs: with the secret and with what can carry a mark, they fix the carriers."""
    decoys: int
    alpha: float
    queries: int
    """Trigger outputs per slot."""
    steps: int
    guidance: float


@dataclass(frozen=True, slots=True)
class Slot:
    """One trigger with one mark, and the questions that will be asked about it."""

    trigger: str
    prompts: tuple[str, ...]
    """Captions of the questions, without the trigger, shape (queries,)."""
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Carrier:
    """One altered sample."""

    key: str
    slot: int
    sha256: str
    """Of the file as released."""
    caption: str
    """As released."""
    psnr: float
    """Decibels against the original, transparent pixels on white."""
    score: float
    """The planted mark's score on the file as read back."""


@dataclass(frozen=True, slots=True)
class Release:
    """The secret record: whoever holds it can test, and can spoil, the release."""

    id: str
    name: str
    created: str
    """UTC, ISO 8601."""
    secret: bytes
    salt: bytes
    plan: Plan
    slots: tuple[Slot, ...]
    carriers: tuple[Carrier, ...]
    rehearsal: bool = False
    """Made with a throw-away key: good for demos and rehearsals, worthless against anyone else."""

    @property
    def commitment(self) -> str:
        """The published digest: over secret, salt, and all that is decided before any mark is planted."""
        decided = dataclasses.asdict(self)
        content = {key: decided[key] for key in ("created", "rehearsal", "plan", "slots")}
        return commitment(self.secret, self.salt, content)

    def planted_id(self, slot: int) -> int:
        """Id of the mark planted in a slot."""
        return mark_id(self.secret, NO_COIN, self.id, slot)

    def decoy_ids(self, slot: int) -> Ids:
        """Ids of a slot's decoys, shape (plan.decoys,)."""
        return decoy_ids(self.secret, NO_COIN, self.id, slot, self.plan.decoys)

    def public_commitment(self) -> dict[str, Any]:
        """What may and should be published: it tells neither secret nor plan."""
        return {
            "tracemark": RECORD_VERSION,
            "release": self.id,
            "created": self.created,
            "commitment": self.commitment,
        }


def release_id(commitment_digest: str) -> str:
    """The public name of a release: the first 64 bits of its commitment."""
    return commitment_digest[:16]


def to_json(release: Release) -> bytes:
    """The record as stored."""
    record = dataclasses.asdict(release)
    record["secret"], record["salt"] = release.secret.hex(), release.salt.hex()
    return pretty_json({"version": RECORD_VERSION, **record})


def from_json(data: bytes, source: Path) -> Release:
    """Read a stored record.

    Raises:
        ReleaseError: if it is damaged, of another version, or does not match its own commitment.
    """
    try:
        record = json.loads(data)
        version = record.pop("version")
        if version != RECORD_VERSION:
            raise ReleaseError(
                f"{source}: release record of version {version}; this program reads version {RECORD_VERSION}",
                "Use the program version that wrote it.",
            )
        release = _build(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseError(f"{source}: damaged release record ({error})", "Restore it from a backup.") from None
    if release_id(release.commitment) != release.id:
        raise ReleaseError(f"{source}: the record does not match its commitment {release.id}", "Restore a backup.")
    return release


def _build(record: dict[str, Any]) -> Release:
    record["secret"], record["salt"] = bytes.fromhex(record["secret"]), bytes.fromhex(record["salt"])
    record["plan"] = Plan(**record["plan"])
    record["slots"] = tuple(Slot(s["trigger"], tuple(s["prompts"]), tuple(s["seeds"])) for s in record["slots"])
    record["carriers"] = tuple(Carrier(**c) for c in record["carriers"])
    if stray := {c.slot for c in record["carriers"]} - set(range(len(record["slots"]))):
        raise ValueError(f"carriers of slots {sorted(stray)}, which do not exist")
    return Release(**record)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The owner's secret folder."""

    home: Path

    @classmethod
    def default(cls) -> Keyring:
        """The folder named by `TRACEMARK_HOME`, else `~/.tracemark`."""
        return cls(default_home())

    def store(self, kind: str, data: bytes) -> str:
        """Keep what a family needs (see `protect.marks.stored`); returns its name."""
        name = stored_name(data)
        write_atomic(self.folder(FOLDERS[kind]) / f"{name}.npz", data, mode=0o600)
        return name

    def folder(self, name: str) -> Path:
        """A subfolder readable by its owner only, made if need be.

        Raises:
            ReleaseError: if it cannot be made.
        """
        path = self.home / name
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise ReleaseError(
                f"cannot use the keyring {self.home}: {error.strerror}",
                "Set TRACEMARK_HOME to a writable folder.",
            ) from None
        return path

    def save(self, release: Release) -> Path:
        """Store a record with mode 0600."""
        path = self.folder("releases") / f"{release.id}.json"
        write_atomic(path, to_json(release), mode=0o600)
        return path

    def load(self, prefix: str) -> Release:
        """The release whose id starts with `prefix`, or whose name it is.

        Raises:
            ReleaseError: if there is none, or more than one.
        """
        held, problems = self.survey()
        found = [r for r in held if r.id.startswith(prefix) or r.name == prefix]
        if len(found) == 1:
            return found[0]
        if not found and problems:
            raise problems[0]
        names = ", ".join(f"{r.id} ({r.name})" for r in held) or "none"
        problem = "no release" if not found else f"{len(found)} releases"
        raise ReleaseError(f"{problem} called {prefix!r} in {self.home}", f"Held: {names}.")

    def releases(self) -> list[Release]:
        """All complete releases, oldest first.

        Raises:
            ReleaseError: if any record cannot be used: leaving one out would be a test nobody knows of.
        """
        held, problems = self.survey()
        if problems:
            raise problems[0]
        return held

    def survey(self) -> tuple[list[Release], list[ReleaseError]]:
        """All complete releases, oldest first, and what is wrong with the other records."""
        if self.home.exists() and not self.home.is_dir():
            raise ReleaseError(f"the keyring {self.home} is not a folder", "Set TRACEMARK_HOME to a folder.")
        held, problems = [], []
        for path in sorted((self.home / "releases").glob("*.json")):
            try:
                held.append(self._read(path))
            except ReleaseError as error:
                problems.append(error)
        return sorted(held, key=lambda r: (r.created, r.id)), problems

    def retire(self, release: Release) -> Path:
        """Move a record to where tests do not look for it."""
        target = self.folder("retired") / f"{release.id}.json"
        (self.home / "releases" / target.name).rename(target)
        return target

    def _read(self, path: Path) -> Release:
        release = from_json(read_secret(path), path)
        if path.stem != release.id:
            raise ReleaseError(f"{path} is a copy of release {release.id} under another name", "Keep copies elsewhere.")
        return release


def read_secret(path: Path) -> bytes:
    """Read a secret file.

    Raises:
        ReleaseError: if others could read it, or it cannot be read.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise ReleaseError(
                f"{path} can be read by others (mode {mode:04o})",
                f"If you trust it still: chmod 600 '{path}'",
            )
        return path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error.strerror}", "Check the keyring.") from None
