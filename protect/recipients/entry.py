"""What is known about a recipient. Nothing of it but the serial number enters a key."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from protect.errors import InputError
from protect.keys.tree import prf
from protect.names import known_as
from protect.release.record import Release

LONGEST_NAME = 1_000
LONGEST_TEXT = 100_000
"""Characters of terms and contacts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipient as its owner writes it down."""

    name: str
    terms: str = ""
    """Under which terms the copy is given."""
    contact: str = ""

    def check(self) -> None:
        """Refuse what cannot be a recipient.

        Raises:
            InputError: naming the field and what is allowed.
        """
        if not known_as(self.name):
            raise InputError("the name is empty", "Give every recipient a name.")
        if len(self.name) > LONGEST_NAME or _controls(self.name):
            raise InputError(
                f"the name {self.name[:40]!r} is too long or holds control characters",
                f"Allowed: at most {LONGEST_NAME:,} printable characters.",
            )
        for field, text in (("terms", self.terms), ("contact", self.contact)):
            if len(text) > LONGEST_TEXT or _controls(text.translate(_BREAKS)):
                raise InputError(
                    f"{field} of {self.name!r}: too long, or with control characters",
                    f"Allowed: at most {LONGEST_TEXT:,} printable characters, line breaks and tabs.",
                )


@dataclass(frozen=True, slots=True)
class Recipient:
    """One line of the ledger: one copy of one release."""

    release: str
    """Id of the release."""
    serial: int
    """From 1, in the order of issue, never used again."""
    name: str
    terms: str
    contact: str
    issued: str
    """When: UTC, ISO 8601."""
    commitment: str
    """What lies beside the copy instead of the name (`entry_commitment`); 64 hex digits."""
    digest: str = ""
    """Of the copy's keys and captions (`protect.formats.digest`), once it was written; else empty."""
    revoked: str = ""
    """When the licence ended: UTC, ISO 8601; empty if it did not."""
    why: str = ""
    """Why it ended."""

    @property
    def key(self) -> str:
        """What stands for the recipient in keys (`protect.keys.tree.KeyTree.recipient`)."""
        return recipient_key(self.serial)

    @property
    def entry(self) -> Entry:
        """What the owner wrote down."""
        return Entry(self.name, self.terms, self.contact)

    def in_words(self) -> str:
        """Serial number and name."""
        return f"recipient {self.serial} ({self.name})"


def recipient_key(serial: int) -> str:
    """The recipient in keys: the serial number in decimal digits.

    Names could be spelt until a mark fits. A number is free of choice, and whoever is named by it has told that there
    were as many recipients at least.

    >>> recipient_key(12)
    '12'
    """
    return str(serial)


_BREAKS = str.maketrans("\n\r\t", "   ")


def _controls(text: str) -> bool:
    """Whether a text holds control characters, or half a character."""
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def entry_commitment(release: Release, serial: int, entry: Entry, issued: str) -> str:
    """What ties a serial number to a recipient and tells neither: HMAC-SHA-256, 64 hex digits.

    Its key follows from the secret and is unknown to everybody else. Published with the copy, it keeps the owner from
    saying later that somebody else had this number.
    """
    return prf(
        entry_key(release, serial),
        "recipient",
        release.commitment,
        serial,
        entry.name,
        entry.terms,
        entry.contact,
        issued,
    ).hex()


def entry_key(release: Release, serial: int) -> bytes:
    """The key of `entry_commitment`; shown to a third party, it opens this one; 32 bytes."""
    return prf(release.secret, "recipient", serial)
