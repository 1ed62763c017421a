"""Writing a protected copy shard by shard, and reading its carriers back."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from protect.embed.job import Embedding, Job
from protect.embed.pending import Pending, ShardDone, all_carriers
from protect.embed.render import Placed, Planting
from protect.embed.verify import Verification, verify
from protect.errors import InputError, TracemarkError
from protect.execution.budget import MemoryBudget
from protect.execution.processes import CONTEXT, map_in_processes
from protect.execution.threads import map_in_order, usable_cores
from protect.formats import open_dataset
from protect.formats.dataset_format import ReadOptions, Shard
from protect.formats.record import Record, SetAside, normalised
from protect.progress import Progress
from protect.release.bound import BoundRelease
from protect.release.record import Release

Carriers = Mapping[str, Placed]
"""Samples that change, by normalised key."""
DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Troubles of the output's disk: no shard's fault."""
CARRIERS_FOR_A_PROCESS = 100
"""Planting them takes twice the second that a process takes to start."""
MOST_PROCESSES = 8
"""Each takes some 60 MiB by itself."""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes shards. It goes to other processes whole."""

    shards: Sequence[Shard]
    bound: BoundRelease
    carriers: Carriers
    reading: ReadOptions
    budget: MemoryBudget
    pending: Pending
    link: bool

    def __call__(self, number: int) -> ShardDone:
        """Write a shard, unless an earlier run has."""
        shard = self.shards[number]
        result = self.pending.done(shard.name)
        if result is None:
            result = self._write(shard)
            if not result.set_aside:  # what failed is tried again by the next run
                self.pending.mark_done(shard.name, result)
        return result

    def _write(self, shard: Shard) -> ShardDone:
        """Write a shard with its carriers; one that fails twice is copied without any."""
        reason = ""
        for _ in range(2):
            planting = self._planting()
            try:
                shard.write(self.pending.partial, planting, link=self.link)
                return ShardDone(tuple(planting.planted.values()), tuple(planting.refused))
            except (OSError, TracemarkError) as error:
                if isinstance(error, OSError) and error.errno in DISK_TROUBLE:
                    raise
                reason = error.what if isinstance(error, TracemarkError) else error.strerror or str(error)
        shard.write(self.pending.partial, _Unchanged(), link=self.link)
        return ShardDone((), (SetAside(shard.name, f"could not be marked, twice ({reason}); copied as it is"),))

    def _planting(self) -> Planting:
        return Planting(self.bound, self.carriers, self.reading, self.budget)

    def take_back(self, lost: set[str], whole: set[str]) -> None:
        """Write shards that hold captions of samples which carry no mark after all once more, without their triggers.

        Args:
            lost: normalised keys of those samples.
            whole: names of shards that were copied as they are: no trigger is in them.
        """
        kept = replace(self, carriers={key: found for key, found in self.carriers.items() if key not in lost})
        for shard in self.shards:
            records = (found for found in shard.scan() if isinstance(found, Record))
            if shard.name not in whole and any(normalised(record.key) in lost for record in records):
                shard.write(self.pending.partial, kept._planting(), link=self.link)


def write_copy(done: Embedding, job: Job, pending: Pending, link: bool) -> Embedding:
    """Write all shards that an earlier run has not, and read the carriers back."""
    carriers = done.placed
    pending.partial.mkdir(exist_ok=True)
    writer = _Writer(job.dataset.shards, done.bound, carriers, job.dataset.options, job.budget, pending, link)
    first = _write_all(writer, job.progress)
    planted = {normalised(c.key) for result in first for c in result.carriers}
    failed = [aside for result in first for aside in result.set_aside]
    if planted != set(carriers):
        writer.take_back(set(carriers) - planted, {aside.key for aside in failed})
    release = replace(done.release, carriers=all_carriers(first))
    _check_planted(release, carriers, failed)
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


def _write_all(writer: _Writer, progress: Progress) -> list[ShardDone]:
    """Write all shards: with processes if there is enough to plant, since threads plant one picture at a time."""
    count, painted = len(writer.shards), sum(bool(placed.painted) for placed in writer.carriers.values())
    workers = min(usable_cores(), MOST_PROCESSES, painted // CARRIERS_FOR_A_PROCESS, count)
    if workers > 1:
        results = map_in_processes(replace(writer, budget=MemoryBudget(processes=CONTEXT)), range(count), workers)
    else:
        results = map_in_order(writer, range(count))
    finished = []
    with closing(results):
        for result in results:
            finished.append(result)
            progress("writing", len(finished), count)
    return finished


class _Unchanged:
    """Edits that change nothing."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        return captions

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        return None


def _check_planted(release: Release, drawn: Carriers, failed: Sequence[SetAside]) -> None:
    """Every carrier drawn is planted, but those that were set aside; no slot has lost all of its own."""
    lacking = len(drawn) - len(release.carriers)
    if lacking and not failed:
        raise InputError(f"{lacking} carrier(s) were not written", "Check that the dataset did not change; repeat.")
    left = {slot for carrier in release.carriers for slot in (*carrier.slots, *carrier.opposite)}
    if empty := {slot.number for p in drawn.values() for slot in (*p.slots, *p.opposite)} - left:
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
