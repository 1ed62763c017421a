"""What a rehearsal teaches about power: runs, kept beside those of other models that were made from the same copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from detect.trial.verdict import SlotResult, Verdict
from protect.evidence import running_evidence
from protect.files import pretty_json, write_atomic
from protect.release.power import Run, rehearsed_runs, strength_options
from protect.release.record import Release


@dataclass(frozen=True, slots=True)
class Taught:
    """How a model came to be."""

    suspect: str
    """A name of its own."""
    method: str
    passes: float
    captions_learned: float | None


def measured(verdict: Verdict, taught: Taught) -> list[Run]:
    """What a rehearsal teaches about power: a run for each slot that was asked, or for all that share questions."""
    release = verdict.release
    groups: dict[tuple[str, ...], list[SlotResult]] = {}
    for slot in verdict.slots:
        asked = release.slot_questions(slot.slot)
        groups.setdefault(asked.prompts if asked.design else (str(slot.slot),), []).append(slot)
    return [_run(release, group, taught) for group in groups.values()]


def _run(release: Release, slots: Sequence[SlotResult], taught: Taught) -> Run:
    part = release.plan.part_of_slot[slots[0].slot]
    carriers = [release.slot_questions(s.slot).taught for s in slots]
    together = running_evidence([slot.evidence for slot in slots])
    return Run(
        part.family,
        part.alignment.partition("/")[0],
        taught.method,
        taught.passes * sum(carriers) / len(carriers),
        bool(together.max() >= 1 / release.plan.alpha),
        options=strength_options(part.family, part.family_options),
        suspect=taught.suspect,
        slots=part.slots if release.slot_questions(slots[0].slot).design else 1,
        p_values=tuple(slot.evidence.p_value for slot in slots),
        key=release.id,
        passes=taught.passes,
        captions_learned=taught.captions_learned,
    )


def keep(path: Path, runs: Sequence[Run]) -> None:
    """Add a model's runs to those of others that were made from the same copy; an earlier test of it is replaced."""
    earlier = rehearsed_runs([path.parent]) if path.exists() else []
    kept = [run for run in earlier if run.suspect not in {own.suspect for own in runs}]
    write_atomic(path, pretty_json([asdict(run) for run in [*kept, *runs]]))
