"""A release's record as it is stored: JSON, read back only if it matches its own commitment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from protect.errors import ReleaseError
from protect.files import pretty_json
from protect.keys.tree import NO_COIN
from protect.release.record import FORMAT, Carrier, Release

_CARRIER = tuple(field.name for field in fields(Carrier))


def carrier_from(row: Mapping[str, Any]) -> Carrier:
    """A carrier from its JSON."""
    slots, opposite = tuple(row["slots"]), tuple(row["opposite"])
    return Carrier(row["key"], slots, opposite, row["sha256"], row["captions"], row["psnr"], row["score"])


def to_json(release: Release) -> bytes:
    """The record as stored. There may be many carriers: each takes a line."""
    rest = {
        "format": FORMAT,
        "id": release.id,
        "name": release.name,
        "secret": release.secret.hex(),
        "header": release.header.decode(),
        "coin": release.coin,
        "questions_digest": release.questions_digest if release.questions else None,
        "questions": [text.decode() for text in release.questions],
        "shared": release.shared,
    }
    lines = (json.dumps(_row(carrier), ensure_ascii=False, allow_nan=False) for carrier in release.carriers)
    carriers = ",\n".join(lines).encode()
    return pretty_json(rest).removesuffix(b"\n}\n") + b',\n  "carriers": [\n' + carriers + b"\n  ]\n}\n"


def _row(carrier: Carrier) -> dict[str, Any]:
    return {name: getattr(carrier, name) for name in _CARRIER}


def from_json(data: bytes, source: Path) -> Release:
    """Read a stored record.

    Raises:
        ReleaseError: if it is damaged, of another format, or does not match its own commitment.
    """
    try:
        row = json.loads(data)
        if row["format"] != FORMAT:
            raise ReleaseError(
                f"{source}: release record of format {row['format']}; this program reads format {FORMAT}",
                "Use the program version that wrote it.",
            )
        release = Release(
            name=row["name"],
            secret=bytes.fromhex(row["secret"]),
            header=row["header"].encode(),
            coin=row["coin"],
            questions=tuple(text.encode() for text in row["questions"]),
            carriers=tuple(map(carrier_from, row["carriers"])),
            shared=row["shared"],
        )
        slots = release.plan.slots
        if release.questions and len(release.questions) != slots:
            raise ValueError(f"questions of {len(release.questions)} slots, planned are {slots}")
        if stray := {slot for c in release.carriers for slot in (*c.slots, *c.opposite)} - set(range(slots)):
            raise ValueError(f"carriers of slots {sorted(stray)}, which do not exist")
        if release.coin != NO_COIN and release.coin_named is None:
            raise ValueError("a coin that the commitment does not name")
        for slot in range(len(release.questions)):
            release.slot_questions(slot)
        digest, stored = release.questions_digest if release.questions else None, row["questions_digest"]
        committed, name = release.questions_committed, row["id"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ReleaseError(f"{source}: damaged release record ({error})", "Restore it from a backup.") from None
    if release.id != name:
        raise ReleaseError(f"{source}: the record does not match its commitment {name}", "Restore a backup.")
    if digest != stored or (digest and committed and digest != committed):
        raise ReleaseError(f"{source}: the questions are not those of release {name}", "Restore a backup.")
    return release
