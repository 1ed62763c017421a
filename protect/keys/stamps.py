"""Timestamps of the owner's commitments, kept in the keyring with the certificates by which they were checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from protect.errors import TracemarkError
from protect.files import write_atomic
from protect.keys.coin import CoinState, Committed, judge_coin
from protect.keys.keyring import Keyring
from protect.keys.timestamp import Stamp, check_reply, read_certificates
from protect.release.record import Release

FOLDER = "timestamps"
OF_QUESTIONS = "questions_"
"""What the names of timestamps begin with that date the questions, too."""


def with_questions(commitment: str, questions: str) -> bytes:
    """What is timestamped once questions follow a coin: the digests of both, so that neither can be changed."""
    return f"{commitment} {questions}".encode()


def keep(keyring: Keyring, release: str, reply: bytes, certificates: bytes, kind: str = "") -> None:
    """Keep a reply that was checked.

    Args:
        keyring: where.
        release: id of the release.
        reply: as it came.
        certificates: PEM or DER file of the roots that it was checked with.
        kind: `OF_QUESTIONS` if it dates the questions, too.
    """
    folder = keyring.folder(FOLDER)
    kept = (path.stem.rpartition("-")[2].removeprefix(kind) for path in _replies(keyring, release, kind))
    name = f"{release}-{kind}{1 + max(map(int, kept), default=0):04}"
    write_atomic(folder / f"{name}.pem", certificates, mode=0o600)
    write_atomic(folder / f"{name}.tsr", reply, mode=0o600)


def kept_stamps(keyring: Keyring, release: Release, kind: str = "") -> tuple[list[Stamp], list[str]]:
    """All timestamps of a release, in the order in which they came, and what is wrong with others."""
    stamps, problems = list[Stamp](), list[str]()
    commitment = release.commitment
    dated = with_questions(commitment, release.questions_digest) if kind else commitment.encode()
    for path in _replies(keyring, release.id, kind):
        try:
            certificates = read_certificates(path.with_suffix(".pem").read_bytes(), path.with_suffix(".pem"))
            stamps.append(check_reply(path.read_bytes(), dated, certificates))
        except TracemarkError as error:
            problems.append(f"{path.name}: {error.what}")
        except OSError as error:
            problems.append(f"{path.name}: {error.strerror}")
    return stamps, problems


def stamp_files(keyring: Keyring, release: str) -> dict[str, bytes]:
    """Replies and their certificates by number, as they are kept: 0001.tsr, 0001.pem, questions_0001.tsr and so on."""
    found = {}
    for path in [*_replies(keyring, release), *_replies(keyring, release, OF_QUESTIONS)]:
        for one in (path, path.with_suffix(".pem")):
            found[one.name.removeprefix(f"{release}-")] = one.read_bytes()
    return found


def coin_state(keyring: Keyring, release: Release) -> CoinState:
    """What a verdict must say about a release's coin, by what the keyring holds.

    Raises:
        ReleaseError: if the coin is not the value of the round that the commitment names.
    """
    return judge_coin(Committed.of(release), *kept_stamps(keyring, release))


def coin_flags(keyring: Keyring, release: Release) -> Sequence[str]:
    """The flags alone (see `coin_state`)."""
    return coin_state(keyring, release).flags


def _replies(keyring: Keyring, release: str, kind: str = "") -> list[Path]:
    return sorted((keyring.home / FOLDER).glob(f"{release}-{kind}{4 * '[0-9]'}.tsr"))
