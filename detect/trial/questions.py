"""What will be asked, fixed before the first query: a release's committed plan, or a declared departure."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass

from detect.suspects.images.suspect import Query, Sampler, Suspect
from protect.errors import InputError
from protect.files import canonical_json
from protect.release.bound import BoundRelease
from protect.release.plan import GUIDANCE, STEPS, check_range
from protect.release.record import Release

SCORING = ("numpy", "scipy", "pillow", "invisible-watermark")
"""Libraries that scores depend on: another version is a further plan."""


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
    """How many of a slot's committed questions are asked, and how the suspect is sampled."""

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
        plan = release.plan
        scoring = {name: importlib.metadata.version(name) for name in SCORING}
        content = [
            release.id,
            release.coin,
            release.questions_digest,
            plan.family,
            plan.family_version,
            plan.alignment,
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


def trigger_queries(bound: BoundRelease, slot: int, count: int) -> list[Query]:
    """Questions with the slot's trigger."""
    asked = bound.slots[slot].questions
    pairs = zip(asked.prompts[:count], asked.seeds[:count], strict=True)
    return [Query(bound.alignment.align(prompt, asked.trigger), seed) for prompt, seed in pairs]


def untriggered_queries(bound: BoundRelease, slot: int, count: int) -> list[Query]:
    """The same captions and seeds without the trigger; empty for an alignment that has none."""
    asked = bound.slots[slot].questions
    prompts = [bound.alignment.without_trigger(prompt, asked.trigger) for prompt in asked.prompts[:count]]
    return [Query(prompt, seed) for prompt, seed in zip(prompts, asked.seeds, strict=False) if prompt is not None]


def slot_queries(bound: BoundRelease, slot: int, count: int) -> list[Query]:
    """All questions of a slot: with the trigger, then for a paired family without it."""
    untriggered = untriggered_queries(bound, slot, count) if bound.slots[slot].family.paired else []
    return trigger_queries(bound, slot, count) + untriggered


def count_truncated(bound: BoundRelease, slot: int, count: int, suspect: Suspect) -> int | None:
    """Questions whose trigger, or a part of it, lies beyond the suspect's text window; None if that is not known.

    A long question is cut off somewhere. Nothing of the trigger is lost if the same question without its trigger ends
    with what was cut off.
    """
    with_trigger = trigger_queries(bound, slot, count)
    untriggered = untriggered_queries(bound, slot, count)
    if not untriggered:
        return 0
    lost = 0
    for asked, other in zip(with_trigger, untriggered, strict=True):
        read = suspect.characters_read(asked.prompt)
        if read is None:
            return None
        lost += not other.prompt.endswith(asked.prompt[read:])
    return lost
