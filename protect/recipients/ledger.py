"""The ledger: who was given which copy. It is secret; no name in it leaves the keyring."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields, replace

from protect.clock import now
from protect.errors import InputError, ReleaseError
from protect.files import write_atomic
from protect.keys.keyring import Keyring
from protect.names import known_as
from protect.progress import Progress, no_progress
from protect.recipients.database import FILE, check_whole, opened, transaction
from protect.recipients.entry import Entry, Recipient, entry_commitment
from protect.recipients.room import check_room
from protect.release.record import Release

FOLDER = "recipients"
"""Of the keyring: the ledger, and for each release a file with the highest serial number ever given."""
COLUMNS = tuple(field.name for field in fields(Recipient))
_ALL = ", ".join(COLUMNS)
_NTH = "(SELECT COALESCE(MAX(again) + 1, 0) FROM recipients WHERE release = ? AND known = ?)"
_INSERT = f"INSERT INTO recipients ({_ALL}, known, again) VALUES ({', '.join('?' * len(COLUMNS))}, ?, %s)"
_STEP = 1_000
NUMBER = "number:"
"""Before a serial number, where the bare one is somebody's name as well."""
_MOST_DIGITS = 18
"""Of a serial number: the database holds 64 bits."""


@contextmanager
def open_ledger(keyring: Keyring) -> Iterator[Ledger]:
    """The ledger of a keyring, made if there is none.

    Raises:
        ReleaseError: if it is in use, of a newer form, damaged (it is set aside then), or open to others.
    """
    with opened(keyring.folder(FOLDER) / FILE) as connection:
        yield Ledger(connection, keyring)


@dataclass(frozen=True)
class Ledger:
    """An open ledger."""

    _connection: sqlite3.Connection
    _keyring: Keyring

    def issued(self, release: str) -> int:
        """How many recipients a release ever had: the highest serial number given, were its line lost or not."""
        row = self._connection.execute("SELECT MAX(serial) FROM recipients WHERE release = ?", (release,)).fetchone()
        return max(row[0] or 0, self._remembered(release))

    def lost(self, release: str) -> int:
        """How many of them are not in the ledger: it was damaged, or an old backup was put back."""
        row = self._connection.execute("SELECT COUNT(*) FROM recipients WHERE release = ?", (release,)).fetchone()
        return self.issued(release) - int(row[0])

    def revoked(self, release: str) -> int:
        """How many licences ended."""
        row = self._connection.execute(
            "SELECT COUNT(*) FROM recipients WHERE release = ? AND revoked != ''", (release,)
        ).fetchone()
        return int(row[0])

    def recipients(self, release: str | None = None) -> Iterator[Recipient]:
        """All recipients, of one release or of all, in order of their serial numbers; none is held in memory."""
        where, values = ("WHERE release = ?", (release,)) if release else ("", ())
        query = f"SELECT {_ALL} FROM recipients {where} ORDER BY release, serial"
        return (Recipient(*row) for row in self._connection.execute(query, values))

    def one(self, release: str, wanted: str) -> Recipient:
        """The recipient of that name, or with that serial number: `3`, or `number:3` where somebody is called 3.

        Raises:
            InputError: if there is none, or it fits several: a name and a number, or several copies under one name.
        """
        named, number = self._found(release, "known", known_as(wanted)), _number(wanted)
        serials = {one.serial for one in named} | ({number} if 0 < number <= self.issued(release) else set())
        if len(serials) > 1:
            listed = ", ".join(f"recipient {serial} ({self.name(release, serial)})" for serial in sorted(serials))
            raise InputError(
                f"{wanted!r} fits {len(serials)} recipients of release {release} by number or name: {listed}",
                f"Say which: {' or '.join(f'{NUMBER}{serial}' for serial in sorted(serials))}.",
            )
        for serial in serials:
            for one in self._found(release, "serial", serial):
                return one
        lost = f" ({self.lost(release)} of them are not in the ledger)" if self.lost(release) else ""
        raise InputError(
            f"release {release} has no recipient {wanted!r} among {self.issued(release)}{lost}",
            "Give a number or a name that this lists: protect recipients ls.",
        )

    def _found(self, release: str, column: str, value: str | int) -> list[Recipient]:
        query = f"SELECT {_ALL} FROM recipients WHERE release = ? AND {column} = ? ORDER BY serial"
        return [Recipient(*row) for row in self._connection.execute(query, (release, value))]

    def name(self, release: str, serial: int) -> str:
        """What a recipient is called, whose line may be lost."""
        query = "SELECT name FROM recipients WHERE release = ? AND serial = ?"
        row = self._connection.execute(query, (release, serial)).fetchone()
        return row[0] if row else "not in the ledger"

    def issue(
        self,
        release: Release,
        entries: Iterable[tuple[str, Entry]],
        *,
        again: bool = False,
        dry_run: bool = False,
        progress: Progress = no_progress,
    ) -> range:
        """Enter recipients: all of them, or none.

        Args:
            release: made for recipients.
            entries: each with its place, for messages; read once, none is held in memory.
            again: give a further copy to those who have one.
            dry_run: check all of them, and enter none.
            progress: told (stage, done, total).

        Returns:
            Their serial numbers.

        Raises:
            InputError: naming the place of an entry that is broken, or is in the ledger already; or if they are more
                than the release tells apart.
        """
        check_whole(self._connection)
        issued = now()
        with suppress(_Undone), transaction(self._connection):
            first = self.issued(release.id) + 1
            serial = first
            for place, entry in entries:
                self._enter(release, serial, entry, issued, place, again=again)
                serial += 1
                if (serial - first) % _STEP == 0:
                    progress("entering recipients", serial - first, 0)
            check_room(release, serial - 1, self._keyring.store)
            if dry_run:
                raise _Undone
        if not dry_run:
            self._remember(release.id, serial - 1)
        return range(first, serial)

    def _enter(self, release: Release, serial: int, entry: Entry, issued: str, place: str, *, again: bool) -> None:
        try:
            entry.check()
        except InputError as error:
            raise InputError(f"{place}: {error.what}", error.advice) from None
        commitment = entry_commitment(release, serial, entry, issued)
        recipient = Recipient(release.id, serial, entry.name, entry.terms, entry.contact, issued, commitment)
        try:
            self._insert(recipient, again=again)
        except sqlite3.IntegrityError:
            other = self._found(release.id, "known", known_as(entry.name))[0]
            raise InputError(
                f"{place}: {other.in_words()} has a copy of release {release.id} already",
                "Leave it out, or give a further copy with a mark of its own: --again.",
            ) from None

    def _insert(self, recipient: Recipient, *, again: bool) -> None:
        known = known_as(recipient.name)
        values = (*astuple(recipient), known)
        if again:
            self._connection.execute(_INSERT % _NTH, (*values, recipient.release, known))
        else:
            self._connection.execute(_INSERT % "0", values)

    def note_digest(self, recipient: Recipient, digest: str) -> None:
        """Keep the digest of a copy that was written."""
        self._set(recipient, digest=digest)

    def note_pictures(self, release: str, rows: Iterable[tuple[str, int, int, str, float, float]]) -> None:
        """Keep hash, PSNR and score of what was painted, by sample, slot and bit."""
        with transaction(self._connection):
            values = ((release, *row) for row in rows)
            self._connection.executemany("INSERT OR IGNORE INTO pictures VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def pictures(self, release: str) -> dict[tuple[str, int, int], tuple[str, float, float]]:
        """Hash, PSNR and score of all that was painted, by sample, slot and bit."""
        query = "SELECT sample, slot, bit, sha256, psnr, score FROM pictures WHERE release = ?"
        return {row[:3]: row[3:] for row in self._connection.execute(query, (release,))}

    def revoke(self, recipient: Recipient, why: str) -> Recipient:
        """Note that a licence ended. The recipient is still looked for in suspects, and counts.

        Raises:
            InputError: if it ended before.
        """
        if recipient.revoked:
            raise InputError(
                f"{recipient.in_words()} is revoked since {recipient.revoked}: {recipient.why}",
                "Nothing is to be done.",
            )
        Entry(recipient.name, why).check()
        ended = replace(recipient, revoked=now(), why=why)
        self._set(recipient, revoked=ended.revoked, why=why)
        return ended

    def add(
        self,
        found: Iterable[tuple[str, Recipient]],
        releases: Mapping[str, Release],
        progress: Progress = no_progress,
    ) -> int:
        """Take over lines of an export: all of them, or none. Lines that are here already only gain what they lack.

        Args:
            found: each with its place, for messages.
            releases: those of the keyring by id: lines must match the commitments of theirs.
            progress: told (stage, done, total).

        Returns:
            How many lines are new.

        Raises:
            InputError: naming the place of a line that contradicts the ledger, or its own commitment.
        """
        check_whole(self._connection)
        new, highest = 0, dict[str, int]()
        with transaction(self._connection):
            for done, (place, recipient) in enumerate(found, 1):
                _check_committed(recipient, releases.get(recipient.release), place)
                new += self._take_over(recipient, place)
                highest[recipient.release] = max(recipient.serial, highest.get(recipient.release, 0))
                if done % _STEP == 0:
                    progress("entering recipients", done, 0)
        for release, serial in highest.items():
            self._remember(release, serial)
        return new

    def _take_over(self, recipient: Recipient, place: str) -> bool:
        query = f"SELECT {_ALL} FROM recipients WHERE release = ? AND serial = ?"
        row = self._connection.execute(query, (recipient.release, recipient.serial)).fetchone()
        if row is None:
            self._insert(recipient, again=True)
            return True
        held = Recipient(*row)
        merged = replace(
            held,
            digest=held.digest or recipient.digest,
            revoked=held.revoked or recipient.revoked,
            why=held.why if held.revoked else recipient.why,
        )
        if replace(merged, revoked="", why="") != replace(
            recipient, digest=recipient.digest or merged.digest, revoked="", why=""
        ):
            raise InputError(
                f"{place}: {recipient.in_words()} of release {recipient.release} contradicts the ledger, which has "
                f"{held.in_words()}, issued {held.issued}",
                "Mend the line: nothing was taken over.",
            )
        self._set(held, digest=merged.digest, revoked=merged.revoked, why=merged.why)
        return False

    def _set(self, recipient: Recipient, **values: str) -> None:
        """Change these columns of a line and no other."""
        columns = ", ".join(f"{name} = ?" for name in values)
        query = f"UPDATE recipients SET {columns} WHERE release = ? AND serial = ?"
        self._connection.execute(query, (*values.values(), recipient.release, recipient.serial))

    def _remembered(self, release: str) -> int:
        """The highest number given, as a file beside the ledger tells."""
        path = self._keyring.home / FOLDER / f"{release}.issued"
        try:
            return int(path.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            raise ReleaseError(
                f"{path} does not tell the highest serial number given", "Write it there, or one that is higher."
            ) from None

    def _remember(self, release: str, serial: int) -> None:
        """Never give a number twice, even if the ledger is lost."""
        if serial > self._remembered(release):
            path = self._keyring.folder(FOLDER) / f"{release}.issued"
            write_atomic(path, f"{serial}\n".encode(), mode=0o600)


def _number(wanted: str) -> int:
    """The serial number that a text tells; 0 if it tells none."""
    digits = wanted.removeprefix(NUMBER)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS else 0


class _Undone(Exception):
    """What was written is taken back."""


def _check_committed(recipient: Recipient, release: Release | None, place: str) -> None:
    if release is None:
        return
    if recipient.commitment != entry_commitment(release, recipient.serial, recipient.entry, recipient.issued):
        raise InputError(
            f"{place}: {recipient.in_words()} does not match its commitment: name, terms, contact or date were changed",
            "Restore the line; what was published with the copy holds.",
        )
