"""A release: the secret record of one protected copy. Its committed bytes are kept and hashed as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from typing import Any, TypeVar

from protect.files import canonical_json
from protect.keys.commitment import commitment, tree_root
from protect.keys.tree import NO_COIN, KeyTree, prf
from protect.marks.family import FamilyOptions

FORMAT = 2
"""Of records and commitments."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    """Slots of one family that are planted and asked about in one way."""

    family: str
    family_options: FamilyOptions
    family_version: int
    alignment: str
    """Name and version."""
    alignment_options: Mapping[str, str]
    rate: float
    slots: int
    queries: int
    """Questions per slot, their contrasts not counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is committed to before a release and never changed: the marks' law and the test to come."""

    parts: tuple[Part, ...]
    """In the order of their slots."""
    dataset: str
    """Digest over all keys and captions (`protect.formats.digest`)."""
    samples: int
    """Samples that may be changed."""
    pictures: str | None
    """Digest over all keys and picture files, where questions wait for a coin: else the owner could swap pictures once
    the marks are known, and so choose carriers and questions. None where the questions are committed to."""
    leave_captions: tuple[str, ...]
    """Fields whose captions stay as they are."""
    decoys: int
    alpha: float
    steps: int
    guidance: float
    recipients: bool = False
    """Whether every recipient gets a copy with marks of its own, and nobody one with the marks of the release."""

    @property
    def slots(self) -> int:
        """Of all parts."""
        return sum(part.slots for part in self.parts)

    @property
    def part_of_slot(self) -> tuple[Part, ...]:
        """The part of each slot."""
        return tuple(part for part in self.parts for _ in range(part.slots))

    @property
    def queries(self) -> int:
        """Questions of the slot that has most."""
        return max(part.queries for part in self.parts)

    @property
    def families(self) -> str:
        """Names of the parts' families and alignments, for people."""
        return " + ".join(f"{part.family}, {part.alignment}" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Coin:
    """Public randomness that does not exist yet when it is named, and that the owner cannot steer."""

    source: str
    """Such as "drand quicknet"."""
    round: str


@dataclass(frozen=True, slots=True)
class Questions:
    """One slot's trigger and what will be asked about it; all of it follows from keys, captions and public data."""

    trigger: str
    prompts: tuple[str, ...]
    """As they are put, with the trigger, shape (queries,)."""
    contrasts: tuple[str, ...]
    """The same captions the other way: without the trigger, or with all choices of words turned round. Empty if there
    is no other way."""
    seeds: tuple[int, ...]
    """Of both."""
    design: tuple[tuple[int, ...], ...] = ()
    """Where questions serve several slots: for each question, which way each slot's choice was asked first
    (1 or -1; 0 where it has no place)."""
    column: int = 0
    """This slot's place in the rows of `design`."""
    taught: int = 0
    """Samples of the copy from which this slot can be learned."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """One altered sample."""

    key: str
    slots: tuple[int, ...]
    """Slots whose mark it carries."""
    opposite: tuple[int, ...]
    """Slots whose other wording it was given."""
    sha256: str
    """Of the picture file as released; empty if the picture was left alone."""
    captions: Mapping[str, str]
    """As released, by field."""
    psnr: float
    """Decibels against the original, transparent pixels on white."""
    score: float
    """The score of its first slot's mark on the file as read back; 0 if the picture was left alone."""


@dataclass(frozen=True)
class Release:
    """The secret record: whoever holds it can test, and can spoil, the release.

    Before its copy is written (`protect commit`) a release has a commitment and no questions or carriers.
    """

    name: str
    secret: bytes
    header: bytes
    """The committed bytes, verbatim: canonical JSON as the program that committed wrote it. Fields that this program
    does not know survive."""
    coin: str = NO_COIN
    """Value of the public coin that the header names; empty if it names none, or the coin is not known yet."""
    questions: tuple[bytes, ...] = ()
    """Each slot's `Questions` as canonical JSON, verbatim; empty before the copy is written."""
    carriers: tuple[Carrier, ...] = ()
    """Of the one copy; none where every recipient gets a copy of its own."""
    shared: str = ""
    """Name in the store of what recipients' copies have in common (`protect.embed.shared`); else empty."""

    @cached_property
    def _header(self) -> dict[str, Any]:
        return dict(json.loads(self.header))

    @cached_property
    def plan(self) -> Plan:
        """What was committed to."""
        row = self._header["plan"]
        parts = tuple(known_fields(Part, part) for part in row["parts"])
        return known_fields(Plan, row | {"parts": parts, "leave_captions": tuple(row["leave_captions"])})

    @property
    def created(self) -> str:
        """Date of the commitment: UTC, ISO 8601."""
        return str(self._header["created"])

    @property
    def rehearsal(self) -> bool:
        """Made with a throw-away key: good for demos and rehearsals, worthless against anyone else."""
        return bool(self._header["rehearsal"])

    @property
    def questions_committed(self) -> str | None:
        """The digest of all questions in the commitment; None if they waited for a coin."""
        digest = self._header["questions"]
        return str(digest) if digest else None

    @property
    def coin_named(self) -> Coin | None:
        """The public coin that the commitment names."""
        named = self._header["coin"]
        return known_fields(Coin, named) if named else None

    @cached_property
    def commitment(self) -> str:
        """The published digest, 64 hex digits."""
        return commitment(self.header, self.secret, self.plan.slots)

    @property
    def id(self) -> str:
        """The public name: the first 64 bits of the commitment."""
        return self.commitment[:16]

    @property
    def keys(self) -> KeyTree:
        """The key tree with the coin."""
        return KeyTree(self.secret, self.coin)

    def slot_questions(self, slot: int) -> Questions:
        """Trigger and questions of a slot."""
        found = json.loads(self.questions[slot])
        lists = {name: tuple(found[name]) for name in ("prompts", "contrasts", "seeds")}
        return known_fields(Questions, found | lists | {"design": tuple(map(tuple, found["design"]))})

    @property
    def complete(self) -> bool:
        """Whether its copy was written, or recipients can be given theirs."""
        return bool(self.carriers or self.shared)

    @property
    def questions_digest(self) -> str:
        """What fixes all questions before the first is asked and tells none of them: a hash tree, 64 hex digits.

        Each leaf is blinded by its slot's key. Part of the commitment, unless that waits for a coin.
        """
        leaves = [prf(self.keys.slot(k).key, "questions", text.decode()) for k, text in enumerate(self.questions)]
        return tree_root(leaves).hex()

    def with_questions(self, questions: tuple[Questions, ...]) -> Release:
        """The same release with its slots' questions."""
        return replace(self, questions=tuple(canonical_json(asdict(q)) for q in questions))

    def public(self) -> dict[str, Any]:
        """What may and should be published: it tells neither secret nor plan nor questions."""
        named = self.coin_named
        return {
            "tracemark": FORMAT,
            "release": self.id,
            "created": self.created,
            "commitment": self.commitment,
            "coin": {**asdict(named), "value": self.coin or None} if named else None,
            "questions": self.questions_digest if self.questions else None,
        }


def make_header(
    plan: Plan, *, created: str, rehearsal: bool, coin: Coin | None = None, questions: str | None = None
) -> bytes:
    """The bytes that are committed to.

    Args:
        plan: the plan.
        created: UTC, ISO 8601.
        rehearsal: whether the secret is a throw-away.
        coin: public randomness that is to come.
        questions: digest of all questions; None if they wait for the coin.
    """
    return canonical_json(
        {
            "tracemark": FORMAT,
            "plan": asdict(plan),
            "created": created,
            "rehearsal": rehearsal,
            "coin": asdict(coin) if coin else None,
            "questions": questions,
        }
    )


def known_fields(kind: type[T], row: Mapping[str, Any]) -> T:
    """A dataclass from the fields it knows; others are left where they are."""
    return kind(**{f.name: row[f.name] for f in fields(kind)})  # type: ignore[arg-type]
