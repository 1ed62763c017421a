"""Writing a protected copy shard by shard, and reading its carriers back."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from protect.embed.job import Embedding, Job
from protect.embed.pending import Pending, ShardDone, all_carriers
from protect.embed.render import Planting, carriers_of
from protect.embed.verify import Verification, verify
from protect.errors import InputError, TracemarkError
from protect.execution.threads import map_in_order
from protect.formats import open_dataset
from protect.formats.dataset_format import Shard
from protect.formats.record import Record, SetAside, normalised
from protect.release.bound import BoundSlot
from protect.release.record import Release

Carriers = Mapping[str, tuple[Record, BoundSlot]]
"""Carrier and slot by normalised key."""
DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Troubles of the output's disk: no shard's fault."""


def write_copy(done: Embedding, job: Job, pending: Pending, link: bool) -> Embedding:
    """Write all shards that an earlier run has not, and read the carriers back."""
    carriers = carriers_of(done.bound, done.selection.drawn.slots)
    pending.partial.mkdir(exist_ok=True)
    first = _write_shards(job.dataset.shards, carriers, done, job, pending, link)
    planted = {normalised(c.key) for result in first for c in result.carriers}
    failed = [aside for result in first for aside in result.set_aside]
    if planted != set(carriers):
        whole = {aside.key for aside in failed}  # shards copied as they are: no trigger is in them
        shards = [shard for shard in job.dataset.shards if shard.name not in whole]
        _take_back(shards, set(carriers) - planted, carriers, done, job, pending, link)
    release = replace(done.release, carriers=all_carriers(first))
    _check_planted(release, len(carriers), failed)
    bound = replace(done.bound, release=release)
    written = open_dataset(pending.content(job.dataset.root), job.dataset.options)
    found = verify(bound, written, job.budget, job.progress, rescore=False)  # they were scored as they were written
    if found.findings:
        pending.begin_again()
    _check_written(found)
    return replace(
        done,
        release=release,
        bound=bound,
        set_aside=(*done.set_aside, *failed),
        set_aside_count=done.set_aside_count + len(failed),
    )


def _write_shards(
    shards: Sequence[Shard], carriers: Carriers, done: Embedding, job: Job, pending: Pending, link: bool
) -> list[ShardDone]:
    def write(shard: Shard) -> ShardDone:
        result = pending.done(shard.name)
        if result is None:
            planting = Planting(done.bound, carriers, job.dataset.options, job.budget)
            result = _write_shard(shard, pending.partial, planting, link)
            if not result.set_aside:  # what failed is tried again by the next run
                pending.mark_done(shard.name, result)
        return result

    finished = []
    for number, result in enumerate(map_in_order(write, shards), 1):
        finished.append(result)
        job.progress("writing", number, len(shards))
    return finished


def _take_back(
    shards: Sequence[Shard], lost: set[str], carriers: Carriers, done: Embedding, job: Job, pending: Pending, link: bool
) -> None:
    """Write shards that hold captions of samples which carry no mark after all once more, without their triggers."""
    kept = {key: found for key, found in carriers.items() if key not in lost}
    for shard in shards:
        if any(isinstance(found, Record) and normalised(found.key) in lost for found in shard.scan()):
            shard.write(pending.partial, Planting(done.bound, kept, job.dataset.options, job.budget), link=link)


def _write_shard(shard: Shard, partial: Path, planting: Planting, link: bool) -> ShardDone:
    """Write a shard with its carriers; one that fails twice is copied without any."""
    reason = ""
    for _ in range(2):
        try:
            shard.write(partial, planting, link=link)
            return ShardDone(tuple(planting.planted.values()), tuple(planting.refused))
        except (OSError, TracemarkError) as error:
            if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
                raise
            reason = error.what if isinstance(error, TracemarkError) else error.strerror or str(error)
            planting.planted.clear()
            planting.refused.clear()
    shard.write(partial, _Unchanged(), link=link)
    return ShardDone((), (SetAside(shard.name, f"could not be marked, twice ({reason}); copied as it is"),))


class _Unchanged:
    """Edits that change nothing."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        return captions

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        return None


def _check_planted(release: Release, drawn: int, failed: Sequence[SetAside]) -> None:
    """Every carrier drawn is planted, but those that were set aside; no slot is empty."""
    lacking = drawn - len(release.carriers)
    if lacking and not failed:
        raise InputError(f"{lacking} carrier(s) were not written", "Check that the dataset did not change; repeat.")
    if empty := set(range(release.plan.slots)) - {c.slot for c in release.carriers}:
        raise InputError(
            f"slot(s) {sorted(s + 1 for s in empty)} have no carrier left: {failed[0].key} {failed[0].reason}",
            "Mend the shards and repeat.",
        )


def _check_written(found: Verification) -> None:
    """Refuse to publish a copy that does not read back. Says nothing about how well a mark suits the pictures:
    that would be choosing marks by looking at them.
    """
    if found.findings:
        first = found.findings[0]
        raise InputError(
            f"{len(found.findings)} carrier(s) did not read back, first {first.key}: {first.problem}",
            "Check the disk and repeat: the run resumes.",
        )
