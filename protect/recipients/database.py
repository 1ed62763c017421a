"""The ledger's file: an SQLite database in the keyring. Nothing in it is ever lost.

A backup is written before the form changes, and a damaged file is set aside.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from protect.errors import ReleaseError
from protect.keys.keyring import check_private

FILE = "recipients.sqlite"
WAIT = 5.0
"""Seconds for another run to finish."""

FORMS: Sequence[Sequence[str]] = (
    (
        """CREATE TABLE recipients (
            release TEXT NOT NULL, serial INTEGER NOT NULL,
            name TEXT NOT NULL, known TEXT NOT NULL, again INTEGER NOT NULL,
            terms TEXT NOT NULL, contact TEXT NOT NULL, issued TEXT NOT NULL,
            commitment TEXT NOT NULL, digest TEXT NOT NULL, revoked TEXT NOT NULL, why TEXT NOT NULL,
            PRIMARY KEY (release, serial), UNIQUE (release, known, again)
        ) WITHOUT ROWID""",
        """CREATE TABLE pictures (
            release TEXT NOT NULL, sample TEXT NOT NULL, slot INTEGER NOT NULL, bit INTEGER NOT NULL,
            sha256 TEXT NOT NULL, psnr REAL NOT NULL, score REAL NOT NULL,
            PRIMARY KEY (release, sample, slot, bit)
        ) WITHOUT ROWID""",
    ),
)
"""Statements that lead from each form of the file to the next. `known` is the name in its one spelling, `again` tells
copies of one recipient apart; `pictures` are what was painted for either bit of a tracing code."""

_BUSY, _DAMAGED = (
    frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}),
    frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}),
)


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The database, made if there is none; in its newest form, and in no transaction.

    Raises:
        ReleaseError: if others can read it, another run holds it, it is of a newer form, it is damaged (it is set aside
            then), or the disk fails.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would let others read it
    except OSError as error:
        raise ReleaseError(f"cannot open {path}: {error.strerror}", "Check the keyring.") from None
    check_private(path)
    try:
        connection = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
        try:
            _renew(connection, path)
            yield connection
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise _told(error, path) from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing. Other runs wait."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_whole(connection: sqlite3.Connection) -> None:
    """Read the whole file.

    Raises:
        sqlite3.DatabaseError: if it is damaged.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _Damaged(found)


class _Damaged(sqlite3.DatabaseError):
    """Found by a check rather than by SQLite itself."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _renew(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file into its newest form, with a backup of the old one beside it."""
    form = _form(connection)
    if form > len(FORMS):
        raise ReleaseError(
            f"{path} is a ledger of form {form}; this program knows forms up to {len(FORMS)}",
            "Use the newer program that wrote it; nothing was changed.",
        )
    if form == len(FORMS):
        return
    if form:
        _back_up(connection, _free_name(path, f"form-{form}"))
    with transaction(connection):
        for statements in FORMS[_form(connection) :]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(FORMS)}")


def _form(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _back_up(connection: sqlite3.Connection, path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    copy = sqlite3.connect(path)
    try:
        connection.backup(copy)
    finally:
        copy.close()


def _free_name(path: Path, ending: str) -> Path:
    """A name beside the file that nothing has."""
    wanted = path.with_name(f"{path.name}.{ending}")
    number = 1
    while wanted.exists():
        number += 1
        wanted = path.with_name(f"{path.name}.{ending}-{number}")
    return wanted


def _told(error: sqlite3.Error, path: Path) -> ReleaseError:
    """What is said about a failure of SQLite; a damaged file is set aside with its journal."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in _BUSY:
        return ReleaseError(f"the ledger {path} is in use by another run", "Wait until it has ended, then repeat.")
    if code not in _DAMAGED:
        return ReleaseError(f"the ledger {path} cannot be used ({error})", "Check the disk and its permissions.")
    aside = _free_name(path, "damaged")
    for ending in ("", "-journal"):
        part = path.with_name(path.name + ending)
        if part.exists():
            part.rename(aside.with_name(aside.name + ending))
    return ReleaseError(
        f"the ledger {path} is damaged ({' '.join(str(error).split())}); it is set aside as {aside.name}",
        "Put a backup in its place, or read an export in: protect recipients import FILE. No number is given twice.",
    )
