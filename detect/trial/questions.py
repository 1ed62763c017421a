"""What will be asked, fixed before the first query: a release's committed plan, or a declared departure."""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from detect.suspects.images.suspect import Query, Sampler, Suspect
from protect.errors import InputError
from protect.files import canonical_json
from protect.release.bound import BoundRelease, BoundSlot
from protect.release.plan import GUIDANCE, STEPS, check_range
from protect.release.record import Release

SCORING = ("numpy", "scipy", "pillow", "invisible-watermark")
"""Libraries that scores depend on: another version is a further plan."""
ORDINARY = 8
"""Captions without a trigger that are put to the suspect beside those with one, at most."""


@dataclass(frozen=True, slots=True)
class Departures:
    """Ways in which a run leaves the committed plan; each makes it a further plan."""

    queries: int | None = None
    steps: int | None = None
    guidance: float | None = None


AS_COMMITTED = Departures()
"""No departure."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How many of a slot's committed questions are asked at most, and how the suspect is sampled."""

    queries: int
    sampler: Sampler

    def as_dict(self) -> dict[str, int | float | str | None]:
        """The plan for people and JSON."""
        return {"queries_per_slot": self.queries, **self.sampler.as_dict()}

    def digest(self, release: Release, setting: dict[str, str]) -> str:
        """Name of this plan for one release, score version and setting; equal plans have equal names.

        Args:
            release: the release under test.
            setting: what the outputs depend on besides weights and sampler (`ledger.setting_of`).
        """
        scoring = {name: importlib.metadata.version(name) for name in SCORING}
        content = [
            release.id,
            release.coin,
            release.questions_digest,
            [asdict(part) for part in release.plan.parts],
            self.queries,
            self.sampler.as_dict(),
            setting,
            scoring,
        ]
        return hashlib.sha256(canonical_json(content)).hexdigest()[:16]


def query_plan(release: Release, departures: Departures = AS_COMMITTED) -> QueryPlan:
    """The committed plan, with departures where given (each further plan is judged at half the level).

    Raises:
        InputError: if more questions are wanted than were committed to.
    """
    plan, queries = release.plan, departures.queries
    if queries is not None and not 1 <= queries <= plan.queries:
        raise InputError(
            f"--queries {queries} is out of range for release {release.id}",
            f"Allowed: 1 to {plan.queries}, the number fixed when it was embedded.",
        )
    check_range("--steps", departures.steps, *STEPS)
    check_range("--guidance", departures.guidance, *GUIDANCE)
    steps = plan.steps if departures.steps is None else departures.steps
    guidance = plan.guidance if departures.guidance is None else departures.guidance
    return QueryPlan(plan.queries if queries is None else queries, Sampler(steps, guidance))


def trigger_queries(slot: BoundSlot, count: int) -> list[Query]:
    """The slot's questions as they are put."""
    return _queries(slot.questions.prompts, slot, count)


def contrast_queries(slot: BoundSlot, count: int) -> list[Query]:
    """The same captions and seeds the other way; empty for an alignment that has none."""
    return _queries(slot.questions.contrasts, slot, count)


def _queries(prompts: Sequence[str], slot: BoundSlot, count: int) -> list[Query]:
    pairs = zip(prompts[:count], slot.questions.seeds[:count], strict=False)
    return [Query(prompt, seed) for prompt, seed in pairs]


def slot_queries(slot: BoundSlot, count: int) -> list[Query]:
    """All questions of a slot: as they are put, then for a paired family the other way."""
    return trigger_queries(slot, count) + (contrast_queries(slot, count) if slot.family.paired else [])


def all_queries(bound: BoundRelease, count: int) -> list[Query]:
    """All questions of a release, slot after slot; those that serve several slots stand there as often."""
    return [query for slot in bound.slots for query in slot_queries(slot, count)]


def ordinary_slot(bound: BoundRelease) -> BoundSlot | None:
    """The first slot whose questions hold a trigger that can be left out; None if no slot's do."""
    held = (slot for slot in bound.slots if slot.questions.contrasts and not slot.alignment.asks_as_usual())
    return next(held, None)


def ordinary_queries(bound: BoundRelease, count: int) -> list[Query]:
    """Captions without a trigger, by which nothing is scored: they show what a suspect draws in ordinary use.

    They were drawn with the questions and are committed to as these are: the first ones of the first slot that has a
    trigger, with the trigger left out. So they hang on neither marks nor answers, nor on where asking stops, and show
    nothing of slots that were not asked.

    Args:
        bound: the release.
        count: most questions that are put to a slot.

    Returns:
        At most `ORDINARY`; none for a release whose questions hold no trigger anyway.
    """
    slot = ordinary_slot(bound)
    return contrast_queries(slot, min(count, ORDINARY)) if slot else []


def count_truncated(slot: BoundSlot, count: int, suspect: Suspect) -> int | None:
    """Questions whose trigger, or a part of it, lies beyond the suspect's text window; None if that is not known.

    A long question is cut off somewhere. Nothing of the trigger is lost if the same question without its trigger ends
    with what was cut off.
    """
    contrasts = contrast_queries(slot, count)
    if not contrasts:
        return 0
    lost = 0
    for asked, other in zip(trigger_queries(slot, count), contrasts, strict=True):
        read = suspect.characters_read(asked.prompt)
        if read is None:
            return None
        lost += not other.prompt.endswith(asked.prompt[read:])
    return lost
