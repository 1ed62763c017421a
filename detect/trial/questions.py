"""What will be asked, fixed before the first query: a release's committed plan, or a declared departure."""

from __future__ import annotations

import hashlib
import importlib.metadata
from dataclasses import dataclass

from detect.suspects.images.suspect import Query, Sampler
from protect.alignments import committed_alignment, slot_family
from protect.errors import InputError
from protect.files import canonical_json
from protect.release.plan import GUIDANCE, STEPS, check_range
from protect.release.record import Release

SCORING = ("numpy", "scipy", "pillow", "invisible-watermark")
"""Libraries that scores depend on: another version is a further plan."""


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """How many of a slot's committed questions are asked, and how the suspect is sampled."""

    queries: int
    sampler: Sampler

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
            plan.family,
            plan.family_version,
            plan.alignment,
            self.queries,
            self.sampler.as_dict(),
            setting,
            scoring,
        ]
        return hashlib.sha256(canonical_json(content)).hexdigest()[:16]


def query_plan(
    release: Release, queries: int | None = None, steps: int | None = None, guidance: float | None = None
) -> QueryPlan:
    """The committed plan, with departures where given (each further plan is judged at half the level).

    Raises:
        InputError: if more questions are wanted than were committed to.
    """
    plan = release.plan
    if queries is not None and not 1 <= queries <= plan.queries:
        raise InputError(
            f"--queries {queries} is out of range for release {release.id}",
            f"Allowed: 1 to {plan.queries}, the number fixed when it was embedded.",
        )
    check_range("--steps", steps, *STEPS)
    check_range("--guidance", guidance, *GUIDANCE)
    return QueryPlan(
        plan.queries if queries is None else queries,
        Sampler(plan.steps if steps is None else steps, plan.guidance if guidance is None else guidance),
    )


def trigger_queries(release: Release, slot: int, count: int) -> list[Query]:
    """Questions with the slot's trigger."""
    questions = release.slots[slot]
    alignment = committed_alignment(release.plan)
    pairs = zip(questions.prompts[:count], questions.seeds[:count], strict=True)
    return [Query(alignment.align(prompt, questions.trigger), seed) for prompt, seed in pairs]


def slot_queries(release: Release, slot: int, count: int) -> list[Query]:
    """All questions of a slot: with the trigger, then for a paired family their twins."""
    twins = twin_queries(release, slot, count) if slot_family(release, slot).paired else []
    return trigger_queries(release, slot, count) + twins


def twin_queries(release: Release, slot: int, count: int) -> list[Query]:
    """The same captions and seeds without the trigger; empty for an alignment that has none."""
    questions = release.slots[slot]
    alignment = committed_alignment(release.plan)
    twins = [alignment.twin(prompt, questions.trigger) for prompt in questions.prompts[:count]]
    return [Query(twin, seed) for twin, seed in zip(twins, questions.seeds, strict=False) if twin is not None]
