"""Dating a commitment: a timestamp authority signs it, and its reply lies beside it and in the keyring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from protect.embed.published import QUESTIONS, Published, read_bytes
from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.keys.authority import SECONDS, ask, check_address
from protect.keys.coin import TIMESTAMP, WINDOW, Committed, comes_out, draw_of
from protect.keys.keyring import Keyring
from protect.keys.stamps import OF_QUESTIONS, keep, kept_stamps
from protect.keys.timestamp import Stamp, check_reply, fingerprint, read_certificates, request_for
from protect.keys.tree import NO_COIN
from protect.release.record import Coin, Release

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


@dataclass(frozen=True, slots=True)
class Authority:
    """A timestamp authority, and what its replies must lead to."""

    address: str
    certificates: bytes
    """Its root certificates, PEM or DER."""
    source: Path
    """Where they were read."""
    policy: str | None = None
    """Dotted number that its replies must name; any if None."""

    @classmethod
    def of(cls, address: str, certificates: Path, policy: str | None = None) -> Authority:
        """An authority by its address and the file of its root certificates.

        Raises:
            InputError: if either is none.
        """
        check_address(address)
        made = cls(address, read_bytes(certificates, "the authority's root certificate"), certificates, policy)
        made.roots()
        return made

    def roots(self) -> tuple[Certificate, ...]:
        """Its root certificates."""
        return read_certificates(self.certificates, self.source)

    def as_coin(self) -> Coin:
        """Its signature under the commitment as the coin; the first certificate of the file is named.

        Raises:
            InputError: if the file holds several.
        """
        roots = self.roots()
        if len(roots) != 1:
            raise InputError(
                f"{self.source} holds {len(roots)} certificates; a coin names one",
                "Give a file that holds the authority's root certificate alone.",
            )
        return Coin(TIMESTAMP, fingerprint(roots[0]))


@dataclass(frozen=True, slots=True)
class Dated:
    """What came of asking an authority."""

    stamp: Stamp
    reply: Path
    """Its reply, beside the commitment."""
    coin: str
    """The coin that the reply gave; empty if the commitment waited for none."""


def date_commitment(published: Published, authority: Authority, keyring: Keyring, seconds: float = SECONDS) -> Dated:
    """Ask an authority to timestamp a commitment, check what it answers, and keep its reply.

    Once the file holds the digest of questions that follow a coin, what is dated is both digests together.

    If the commitment's coin is to come with its timestamp, the first reply that is kept gives it, for good.

    Args:
        published: the commitment file.
        authority: whom to ask.
        keyring: keeps the reply and, for a coin, the record that waits for it.
        seconds: after which it is given up.

    Raises:
        InputError: if the authority does not answer in time, its reply does not fit, or its clock is wrong.
    """
    release = held_record(keyring, published.release)
    earlier = kept_stamps(keyring, release)[0] if release else []
    data = published.data_with_questions if published.questions else published.data
    request = request_for(data)
    reply = ask(authority.address, request.body, seconds)
    stamp = check_reply(reply, data, authority.roots(), nonce=request.nonce, policy=authority.policy)
    check_clock(stamp, published.committed, earlier)
    waits = release is not None and waits_for_timestamp(release)
    coin = _first_draw([*earlier, stamp], published.committed) if waits else NO_COIN
    if release:
        keep(keyring, release.id, reply, authority.certificates, OF_QUESTIONS if published.questions else "")
    place = published.next_reply(QUESTIONS if published.questions else "")
    write_atomic(place, reply)
    if release and coin:
        known = replace(release, coin=coin)
        keyring.save(known)
        write_atomic(published.path, pretty_json(known.public()))
    return Dated(stamp, place, coin)


def waits_for_timestamp(release: Release) -> bool:
    """Whether a release has no coin yet and gets it from its timestamp."""
    named = release.coin_named
    return named is not None and named.source == TIMESTAMP and release.coin == NO_COIN and not release.complete


def check_clock(stamp: Stamp, committed: Committed, earlier: Sequence[Stamp]) -> None:
    """Refuse the timestamp of a clock that is behind.

    Args:
        stamp: fresh, and checked otherwise.
        committed: the commitment, with its coin if that is known.
        earlier: timestamps that it has already.

    Raises:
        InputError: if it is earlier than what must have been before it.
    """
    before: list[tuple[str, datetime]] = [("the commitment was made", committed.created)]
    before += [("it was timestamped before", stamped.time) for stamped in earlier]
    out = comes_out(committed.coin)
    if out and committed.value != NO_COIN:
        before.append(("its coin came out", out))
    for what, time in before:
        if stamp.time + WINDOW < time:
            says, was = (f"{one:%Y-%m-%d %H:%M:%S}" for one in (stamp.time, time))
            raise InputError(
                f"the authority's clock says {says}, and {what} on {was} UTC",
                "One of the two clocks is wrong: set this machine's, or ask another authority.",
            )


def _first_draw(stamps: Sequence[Stamp], committed: Committed) -> str:
    """The coin that the first timestamp gives which can give one; a later one would be another try."""
    for stamp in stamps[:-1]:
        try:
            return draw_of(stamp, committed)
        except InputError:
            continue
    return draw_of(stamps[-1], committed)


def held_record(keyring: Keyring, wanted: str) -> Release | None:
    """The record of a commitment, wherever the keyring holds it; None if it is somebody else's."""
    held = (*keyring.commitments()[0], *keyring.survey()[0], *keyring.retired())
    return next((release for release in held if release.id == wanted), None)
