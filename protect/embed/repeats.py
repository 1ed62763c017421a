"""A repeat must have the dataset and the plan of the first time: what it is told if it has not."""

from __future__ import annotations

import shlex
from dataclasses import replace

from protect.embed.committing import digest_of_pictures, plan_of
from protect.embed.job import Job
from protect.embed.select import Selection
from protect.errors import InputError
from protect.release.plan import Options
from protect.release.record import Part, Plan, Release


def check_plan(known: Release, selection: Selection, job: Job) -> None:
    """A committed plan holds: the same dataset and the same options, or no embedding.

    Args:
        known: committed to, or begun by a run that was stopped.
        selection: what its keys decide now.
        job: this run.

    Raises:
        InputError: naming what differs, and what to do.
    """
    pictures = digest_of_pictures(job.dataset, job.progress, job.engine) if known.plan.pictures else None
    again, plan = plan_of(selection, job.options, pictures), known.plan
    if again == plan:
        return
    if (again.dataset, again.samples, again.pictures) != (plan.dataset, plan.samples, plan.pictures):
        raise InputError(
            f"the dataset is not the one that release {known.id} was committed to",
            "Undo the change (or the other --only, --exclude, --split, --caption-column, --leave-captions), or start a "
            "release of its own with another --output.",
        )
    if _without_measured(again, job.options) == _without_measured(plan, job.options):
        raise InputError(
            f"pictures of the dataset changed since release {known.id} was begun",
            "Undo the change (or give the same --option looks again), or start a release of its own with another "
            "--output.",
        )
    raise InputError(f"release {known.id} was committed to with other options", _advice(known, again))


def _without_measured(plan: Plan, options: Options) -> Plan:
    """A plan without the looks that were measured, because the owner named none."""
    if len(plan.parts) != len(options.parts):
        return plan
    pairs = zip(plan.parts, options.parts, strict=True)
    return replace(
        plan, parts=tuple(part if own.family_options.get("looks") else _without_looks(part) for part, own in pairs)
    )


def _without_looks(part: Part) -> Part:
    return replace(part, family_options={k: v for k, v in part.family_options.items() if k != "looks"})


def _advice(known: Release, again: Plan) -> str:
    """How to repeat it."""
    plan = known.plan
    if known.coin_named is None and len(plan.parts) == 1 and not plan.parts[0].alignment_options:
        return f"Repeat it with {_spelt(plan)}."
    if again.leave_captions != plan.leave_captions:
        return f"Repeat it with {shlex.join(_left(plan))}." if plan.leave_captions else "Leave --leave-captions out."
    if known.coin_named is not None:
        return f"Give no options but --commitment {known.id}: they are those of the commitment."
    return "Repeat the very command that was stopped, or give another --output."


def _spelt(plan: Plan) -> str:
    """A plan as options of the command line, with every digit."""
    part = plan.parts[0]
    words = [
        *("--rate", str(part.rate), "--family", part.family, "--alignment", part.alignment.partition("/")[0]),
        *(word for name, value in part.family_options.items() for word in ("--option", f"{name}={value}")),
        *("--slots", str(part.slots), "--queries", str(part.queries), "--decoys", str(plan.decoys)),
        *("--alpha", str(plan.alpha), "--steps", str(plan.steps), "--guidance", str(plan.guidance)),
        *(["--for-recipients"] if plan.recipients else []),
        *_left(plan),
    ]
    return shlex.join(words)


def _left(plan: Plan) -> list[str]:
    return [word for name in plan.leave_captions for word in ("--leave-captions", name)]
