"""The commitment file that is published beside a copy, and what lies beside it: timestamps and a signature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from protect.errors import InputError, ReleaseError
from protect.keys.coin import CoinState, Committed, coin_to_come, judge_coin
from protect.keys.signature import Signature, signature_from
from protect.keys.stamps import with_questions
from protect.keys.timestamp import Stamp, Untrusted, check_reply
from protect.keys.tree import NO_COIN
from protect.release.record import FORMAT, Coin, known_fields

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

ENDING = ".commitment.json"
QUESTIONS = ".questions"
"""Stands in the names of timestamps that date the questions, too: `cats.commitment.questions.tsr`."""


@dataclass(frozen=True, slots=True)
class Published:
    """A commitment as everybody can read it."""

    path: Path
    release: str
    """Id of the release."""
    committed: Committed
    questions: str | None = None
    """Digest of all questions where they follow a coin, so that the commitment does not fix them; 64 hex digits."""

    @property
    def data(self) -> bytes:
        """What is signed, and timestamped: the 64 digits of the commitment, as text."""
        return self.committed.commitment.encode()

    @property
    def data_with_questions(self) -> bytes:
        """What is timestamped once the questions are known that follow a coin."""
        return with_questions(self.committed.commitment, self.questions or "")

    def beside(self, ending: str) -> Path:
        """A file beside it, such as `cats.commitment.tsr`."""
        return self.path.with_name(self.path.name.removesuffix(".json") + ending)

    def replies(self, kind: str = "") -> list[Path]:
        """The timestamps beside it, oldest first; those of the questions if `kind` is `.questions`."""
        return [p for n in range(1, 100) if (p := self._reply(n, kind)).exists()]

    def next_reply(self, kind: str = "") -> Path:
        """Where the next timestamp goes."""
        return next(p for n in range(1, 10**6) if not (p := self._reply(n, kind)).exists())

    def _reply(self, number: int, kind: str) -> Path:
        return self.beside(f"{kind}.tsr" if number == 1 else f"{kind}.{number}.tsr")

    @property
    def signature_file(self) -> Path:
        """Where its signature lies."""
        return self.beside(".sig")

    def signature(self) -> Signature | None:
        """Its signature; None if it has none."""
        if not self.signature_file.exists():
            return None
        return signature_from(read_bytes(self.signature_file, "a signature"), self.signature_file)


def read_published(path: Path) -> Published:
    """Read a commitment file.

    Raises:
        InputError: if it is none.
    """
    data = read_bytes(path, "a commitment file")
    try:
        row = json.loads(data)
        if row["tracemark"] != FORMAT:
            raise InputError(
                f"{path} is of format {row['tracemark']}; this program reads format {FORMAT}",
                "Use the program version that wrote it.",
            )
        named = row["coin"]
        committed = Committed(
            commitment=row["commitment"],
            created=datetime.fromisoformat(row["created"]),
            coin=known_fields(Coin, named) if named else None,
            value=(named["value"] or NO_COIN) if named else NO_COIN,
        )
        if len(bytes.fromhex(committed.commitment)) != 32 or committed.created.tzinfo is None:
            raise ValueError("its commitment or its date is cut off")
        if row["release"] != committed.commitment[:16]:
            raise ValueError("its release is not its commitment's")
        questions = row["questions"] if named else None
        if questions is not None and len(bytes.fromhex(questions)) != 32:
            raise ValueError("the digest of its questions is cut off")
        return Published(path, row["release"], committed, questions)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no commitment ({str(error)[:80]})", f"Give the file that ends in {ENDING}."
        ) from None


def read_bytes(path: Path, what: str) -> bytes:
    """Content of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", f"Give {what}.") from None


@dataclass(frozen=True, slots=True)
class Checked:
    """What a commitment file and the files beside it show to whoever trusts some certificates."""

    published: Published
    stamps: tuple[Stamp, ...]
    unchecked: int
    """Timestamps that were not checked, for want of certificates."""
    signer: str | None
    """Public key, 64 hex digits."""
    coin: CoinState
    question_stamps: tuple[Stamp, ...] = ()
    """Timestamps that date the questions, too, where they follow a coin."""

    def in_words(self) -> list[str]:
        """Lines for people."""
        committed = self.published.committed
        unchecked = f"  {self.unchecked} timestamp(s) not checked: give their --authority-certificate"
        return [
            f"commitment {committed.commitment}",
            f"  says that it was made on {committed.created:%Y-%m-%d %H:%M:%S} UTC",
            *(f"  existed on {stamp.in_words()}" for stamp in self.stamps),
            *([] if self.stamps else ["  nothing that was checked proves its date"]),
            *([unchecked] if self.unchecked else []),
            *(f"  its questions existed on {stamp.in_words()}" for stamp in self.question_stamps),
            *(["  nothing that was checked dates its questions"] if self._undated else []),
            f"  signed with the key {self.signer}" if self.signer else "  not signed",
            f"  {', '.join(self.coin.flags)}: {self.coin.sentence}",
        ]

    @property
    def _undated(self) -> bool:
        return self.published.questions is not None and not self.question_stamps


def _trusted_stamps(data: bytes, replies: Sequence[Path], roots: Sequence[Certificate]) -> list[Stamp]:
    """Those that lead to a trusted certificate, at least one; others are another authority's."""
    stamps, strange = list[Stamp](), list[Untrusted]()
    for path in replies:
        try:
            stamps.append(check_reply(read_bytes(path, "a timestamp"), data, roots))
        except Untrusted as error:
            strange.append(error)
    if not stamps:
        raise strange[0]
    return stamps


def check_published(published: Published, roots: Sequence[Certificate], signer: str | None = None) -> Checked:
    """Check everything that lies beside a commitment file; needs no keyring.

    Args:
        published: the commitment.
        roots: certificates that the checker trusts; without any, timestamps are not checked.
        signer: the public key that must have signed it; any or none if None.

    Raises:
        InputError: if a timestamp or the signature does not fit, or no timestamp leads to one of the roots.
        ReleaseError: if the coin is not the value of its round.
    """
    replies, later = published.replies(), published.replies(QUESTIONS) if published.questions else []
    stamps = _trusted_stamps(published.data, replies, roots) if roots and replies else []
    dated = _trusted_stamps(published.data_with_questions, later, roots) if roots and later else []
    signature = published.signature()
    if signature is not None:
        signature.check("commitment", published.data)
    if signer is not None and (signature is None or signature.public_key != signer):
        found = f"by {signature.public_key[:16]}…" if signature else "not at all"
        raise InputError(
            f"{published.path} is signed {found}, not by {signer[:16]}…", "Ask its owner which key is right."
        )
    return Checked(
        published,
        tuple(stamps),
        len(replies) + len(later) - len(stamps) - len(dated),
        signature.public_key if signature else None,
        _coin_state(published.committed, stamps),
        tuple(dated),
    )


def _coin_state(committed: Committed, stamps: Sequence[Stamp]) -> CoinState:
    if committed.coin and committed.value == NO_COIN:
        return coin_to_come(committed.coin)
    try:
        return judge_coin(committed, stamps)
    except ReleaseError as error:
        raise InputError(error.what, error.advice) from None
