"""Painted copies: every carrier has two pictures, one for each bit of a tracing code, whoever they are painted for.

What was painted is remembered by its hash. So a copy is checked without painting it again, and a copy that turns up
tells its bits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.formats.dataset_format import Dataset
from protect.formats.record import normalised
from protect.keys.code import TracingCode
from protect.recipients.ledger import Ledger
from protect.release.bound import BoundRelease
from protect.release.record import Carrier, Release

BLOCK = 1 << 16
"""Recipients whose bits are compared with a copy at a time."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A carrier's picture for one bit."""

    sha256: str
    psnr: float
    score: float


Variants = Mapping[tuple[str, int, int], Painted]
"""By normalised key, slot and bit."""


def code_of(release: Release) -> TracingCode:
    """The tracing code of a release."""
    return TracingCode(release.secret, release.coin, release.plan.slots)


def bits_of(release: Release, serial: int) -> list[int]:
    """A recipient's bit in every slot."""
    code = code_of(release)
    return [int(code.bits(slot, range(serial, serial + 1))[0]) for slot in range(release.plan.slots)]


def remember(bound: BoundRelease, serial: int, ledger: Ledger) -> None:
    """Remember what was painted in a copy.

    Raises:
        InputError: if a picture is another one than in an earlier copy: it would tell its recipient.
    """
    release, bits = bound.release, bits_of(bound.release, serial)
    known = ledger.pictures(release.id)
    for carrier in release.carriers:
        slot = carrier.slots[0]
        key = (normalised(carrier.key), slot, bits[slot])
        if key in known and known[key][0] != carrier.sha256:
            raise InputError(
                f"{carrier.key} would not be the picture that other recipients were given with the same bit",
                "Use the program version and the dataset that those were made with.",
            )
    rows = ((normalised(c.key), c.slots[0], bits[c.slots[0]], c.sha256, c.psnr, c.score) for c in release.carriers)
    ledger.note_pictures(release.id, rows)


def with_pictures(bound: BoundRelease, serial: int, ledger: Ledger) -> BoundRelease:
    """The release with its carriers' pictures, as far as they were painted."""
    release, bits, known = bound.release, bits_of(bound.release, serial), variants(bound.release, ledger)

    def seen(carrier: Carrier) -> Carrier:
        slot = carrier.slots[0]
        picture = known.get((normalised(carrier.key), slot, bits[slot]))
        if picture is None:
            return carrier
        return replace(carrier, sha256=picture.sha256, psnr=picture.psnr, score=picture.score)

    return replace(bound, release=replace(release, carriers=tuple(map(seen, release.carriers))))


def variants(release: Release, ledger: Ledger) -> Variants:
    """All pictures that were painted for a release."""
    return {key: Painted(*row) for key, row in ledger.pictures(release.id).items()}


def votes(copy: Dataset, release: Release, ledger: Ledger) -> NDArray[np.int64]:
    """How many carriers of a copy show each bit of each slot, shape (slots, 2)."""
    known = {(key, found.sha256): (slot, bit) for (key, slot, bit), found in variants(release, ledger).items()}
    carriers = {key for key, _ in known}
    counted = np.zeros((release.plan.slots, 2), dtype=np.int64)
    for record in copy.records():
        if (key := normalised(record.key)) in carriers:
            place = known.get((key, hashlib.sha256(record.read()).hexdigest()))
            if place:
                counted[place] += 1
    return counted


def nearest_bits(counted: NDArray[np.int64], release: Release, count: int) -> tuple[int, ...]:
    """All recipients, of so many, with whose bits most carriers agree; nobody if no carrier shows a bit.

    Recipients whose bits are equal cannot be told apart, and are all named.
    """
    if not counted.any():
        return ()
    code, best, nearest = code_of(release), -1, list[int]()
    for start in range(1, count + 1, BLOCK):
        serials = range(start, min(start + BLOCK, count + 1))
        agree = np.zeros(len(serials), dtype=np.int64)
        for slot, row in enumerate(counted):
            if row.any():
                agree += row[code.bits(slot, serials)]
        most = int(agree.max())
        if most > best:
            best, nearest = most, []
        if most == best:
            nearest += [serials[place] for place in np.flatnonzero(agree == most).tolist()]
    return tuple(nearest)


def agreeing(counted: NDArray[np.int64], release: Release, serial: int) -> int:
    """How many carriers of a copy show a recipient's bits."""
    return sum(int(row[bit]) for row, bit in zip(counted, bits_of(release, serial), strict=True))
