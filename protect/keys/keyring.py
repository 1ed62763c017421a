"""The keyring: the owner's secret folder. It holds records and stores; caches lie elsewhere."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from protect.errors import InputError, ReleaseError
from protect.files import default_home, private_folder, write_atomic
from protect.keys.store import Store
from protect.release.record import Release
from protect.release.stored import from_json, to_json

RELEASES, WAITING, RETIRED, PENDING, LOCKS = "releases", "commitments", "retired", "pending", "locks"
"""Folders: complete releases; committed ones whose copy is not written yet; retired ones; embeddings under way, and
what keeps two runs from one output."""


@dataclass(frozen=True)
class Keyring:
    """The owner's secret folder."""

    home: Path

    @classmethod
    def default(cls) -> Keyring:
        """The folder named by `TRACEMARK_HOME`, else `~/.tracemark`. For commands only: code is passed a keyring."""
        return cls(default_home())

    @cached_property
    def store(self) -> Store:
        """Where arrays are kept that families and alignments need."""
        return Store(self.home)

    def folder(self, name: str) -> Path:
        """A subfolder readable by its owner only, made if need be.

        Raises:
            ReleaseError: if it cannot be made, or others can write to the keyring.
        """
        try:
            if private_folder(self.home).stat().st_mode & 0o022:
                raise ReleaseError(f"others can write to the keyring {self.home}", f"chmod 700 '{self.home}'")
            return private_folder(self.home / name)
        except InputError as error:
            raise ReleaseError(error.what, "Set TRACEMARK_HOME to a writable folder.") from None

    def save(self, release: Release) -> Path:
        """Store a record with mode 0600: a complete release where tests look for it, else among those that wait.

        Raises:
            ReleaseError: if a complete release with this commitment is held already, and is another one.
        """
        path = self.folder(_folder_of(release)) / f"{release.id}.json"
        data = to_json(release)
        if release.complete and path.exists() and path.read_bytes() != data:
            raise ReleaseError(
                f"commitment {release.id} has a copy already: one commitment is one release",
                "Make a commitment of its own for another copy.",
            )
        write_atomic(path, data, mode=0o600)
        return path

    def settle(self, release: Release) -> None:
        """Forget that a release waited for its copy."""
        (self.home / WAITING / f"{release.id}.json").unlink(missing_ok=True)

    def load(self, wanted: str) -> Release:
        """The complete release whose id starts with `wanted`, or whose name it is.

        Raises:
            ReleaseError: if there is none, or more than one, or it is retired.
        """
        held, problems = self.survey()
        return self._only(held, problems, wanted, f"release called {wanted!r} in {self.home}")

    def waiting(self, wanted: str) -> Release:
        """The committed release without a copy whose id starts with `wanted`, or whose name it is.

        Raises:
            ReleaseError: if there is none, or more than one, or it is retired.
        """
        held, problems = self.commitments()
        what = f"commitment called {wanted!r} that waits for its copy in {self.home}"
        return self._only(held, problems, wanted, what)

    def either(self, wanted: str) -> Release:
        """The complete release, or the committed one without a copy, whose id starts with `wanted` or whose name it is.

        Raises:
            ReleaseError: if there is none, or more than one, or it is retired.
        """
        (held, problems), (waiting, others) = self.survey(), self.commitments()
        found = {release.id: release for release in (*waiting, *held)}  # a run may have been stopped before `settle`
        what = f"release or commitment called {wanted!r} in {self.home}"
        return self._only(list(found.values()), [*problems, *others], wanted, what)

    def has_copy(self, release: str) -> bool:
        """Whether a complete release of this id is held."""
        return (self.home / RELEASES / f"{release}.json").exists()

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
        return self._read_all(RELEASES)

    def commitments(self) -> tuple[list[Release], list[ReleaseError]]:
        """All committed releases whose copy is not written yet, oldest first, and what is wrong with other records."""
        return self._read_all(WAITING)

    def retire(self, release: Release) -> Path:
        """Move a record, of a complete release or not, to where neither tests nor `embed` look for it."""
        target = self.folder(RETIRED) / f"{release.id}.json"
        (self.home / _folder_of(release) / target.name).rename(target)
        self.settle(release)
        return target

    def retired(self) -> list[Release]:
        """All retired releases whose records can be read, oldest first."""
        return self._read_all(RETIRED)[0]

    def _only(self, held: list[Release], problems: list[ReleaseError], wanted: str, what: str) -> Release:
        if not _called(held, wanted) and (retired := _called(self.retired(), wanted)):
            raise is_retired(self, retired[0])
        return _only(held, problems, wanted, what)

    def _read_all(self, folder: str) -> tuple[list[Release], list[ReleaseError]]:
        if self.home.exists() and not self.home.is_dir():
            raise ReleaseError(f"the keyring {self.home} is not a folder", "Set TRACEMARK_HOME to a folder.")
        held, problems = [], []
        for path in sorted((self.home / folder).glob("*.json")):
            try:
                held.append(_read(path))
            except ReleaseError as error:
                problems.append(error)
        return sorted(held, key=lambda r: (r.created, r.id)), problems


def _folder_of(release: Release) -> str:
    """Where the record of a release lies that is not retired."""
    return RELEASES if release.complete else WAITING


def _read(path: Path) -> Release:
    release = from_json(read_secret(path), path)
    if path.stem != release.id:
        raise ReleaseError(f"{path} is a copy of release {release.id} under another name", "Keep copies elsewhere.")
    return release


def is_retired(keyring: Keyring, release: Release) -> ReleaseError:
    """What is said where a retired release is wanted."""
    kept = keyring.home / RETIRED / f"{release.id}.json"
    what, end = (
        ("release", "no test looks for it") if release.complete else ("commitment", "no copy will be made of it")
    )
    return ReleaseError(
        f"{what} {release.id} ({release.name}) is retired: {end}",
        f"To use it again: mv '{kept}' '{keyring.home / _folder_of(release)}/'",
    )


def _called(held: list[Release], wanted: str) -> list[Release]:
    return [r for r in held if wanted and (r.id.startswith(wanted) or r.name == wanted)]


def _only(held: list[Release], problems: list[ReleaseError], wanted: str, what: str) -> Release:
    found = _called(held, wanted)
    if len(found) == 1:
        return found[0]
    if not found and problems:
        raise problems[0]
    names = ", ".join(f"{r.id} ({r.name})" for r in held) or "none"
    raise ReleaseError(f"{len(found) or 'no'} {what}", f"Held: {names}. Give an id.")


def read_secret(path: Path) -> bytes:
    """Read a secret file.

    Raises:
        ReleaseError: if others could read it, or it cannot be read.
    """
    check_private(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error.strerror}", "Check the keyring.") from None


def check_private(path: Path) -> None:
    """Refuse a secret file that others could read.

    Raises:
        ReleaseError: naming the mode, or if there is no such file.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ReleaseError(f"cannot read {path}: {error.strerror}", "Check the keyring.") from None
    if mode & 0o077:
        raise ReleaseError(
            f"{path} can be read by others (mode {mode:04o})", f"If you trust it still: chmod 600 '{path}'"
        )
