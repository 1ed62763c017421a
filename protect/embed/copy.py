"""Writing a protected copy shard by shard, and reading its carriers back."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from protect.buckets import BucketError
from protect.embed.chosen import Chosen
from protect.embed.job import Embedding, Job
from protect.embed.pending import Pending, ShardDone, all_carriers
from protect.embed.render import Planting
from protect.embed.verify import Verification, verify
from protect.errors import InputError, TracemarkError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine
from protect.formats import open_dataset
from protect.formats.dataset_format import CHANGED, Dataset, ReadOptions, Shard
from protect.formats.record import SetAside, normalised
from protect.progress import Progress
from protect.release.bound import BoundRelease
from protect.release.record import Carrier, Release

DISK_TROUBLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Troubles of the output's disk: no shard's fault."""
_TO_PAINT, _TO_COPY, _SCANS = 2e-2, 1e-9, 4
"""Seconds that it takes to paint a picture, and to copy a byte; how many scans of its captions writing a shard is."""
_DIED = "could not be marked: its worker ended without a word, twice"


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes shards. It goes to other processes whole."""

    shards: Sequence[Shard]
    bound: BoundRelease
    chosen: Chosen
    reading: ReadOptions
    budget: MemoryBudget
    target: Path
    link: bool

    def __call__(self, number: int) -> ShardDone:
        """Write a shard with its carriers; one that fails twice is copied without any."""
        shard, reason = self.shards[number], ""
        if shard.changed():
            return self.as_it_is(number, CHANGED)
        for _ in range(2):
            planting = Planting(self.bound, self.chosen, self.reading, self.budget)
            try:
                shard.write(self.target, planting, link=self.link)
                return ShardDone(tuple(planting.planted.values()), tuple(planting.refused))
            except (OSError, TracemarkError) as error:
                if isinstance(error, BucketError) or (isinstance(error, OSError) and error.errno in DISK_TROUBLE):
                    raise
                reason = error.what if isinstance(error, TracemarkError) else error.strerror or str(error)
        return self.as_it_is(number, f"could not be marked, twice ({reason})")

    def as_it_is(self, number: int, reason: str = _DIED) -> ShardDone:
        """Copy a shard without any carrier."""
        shard = self.shards[number]
        shard.write(self.target, _Unchanged(), link=self.link)
        return ShardDone((), (SetAside(shard.name, f"{reason}; copied as it is"),))


def write_copy(done: Embedding, job: Job, pending: Pending, link: bool) -> Embedding:
    """Write all shards that an earlier run has not, and read the carriers back."""
    samples = done.selection.survey.samples
    copy = Copying(job.dataset, pending, job.budget, job.engine, job.progress, link, samples)
    bound, failed = copy.write(done.bound, done.chosen)
    return replace(
        done,
        release=bound.release,
        bound=bound,
        set_aside=(*done.set_aside, *failed),
        set_aside_count=done.set_aside_count + len(failed),
    )


@dataclass(frozen=True, slots=True)
class Copying:
    """How one copy of a dataset is written."""

    dataset: Dataset
    pending: Pending
    budget: MemoryBudget
    engine: Engine
    progress: Progress
    link: bool
    samples: int | None = None
    """That the copy must hold, where nothing was set aside while it was written; None if nobody counted them."""

    def write(self, bound: BoundRelease, chosen: Chosen) -> tuple[BoundRelease, Sequence[SetAside]]:
        """Write all shards that an earlier run has not, and read the carriers back.

        Args:
            bound: the release, or one recipient's part of it.
            chosen: the samples that change.

        Returns:
            The release with the carriers that were written, and what could not be written.

        Raises:
            InputError: if carriers do not read back, or a slot has none left.
        """
        self.pending.begin()
        reading, place = self.dataset.options, self.pending.partial
        writer = _Writer(self.dataset.shards, bound, chosen, reading, self.budget, place, self.link)
        finished = _write_all(writer, self)
        failed = [aside for result in finished for aside in result.set_aside]
        carriers = all_carriers(finished)
        if lost := {normalised(c.key) for c in carriers if not _is_whole(c, chosen)}:
            _take_back(lost, writer, finished, self.pending)
        self.dataset.finish(place)
        release = replace(bound.release, carriers=tuple(c for c in carriers if _is_whole(c, chosen)))
        _check_planted(release, chosen, failed)
        bound = replace(bound, release=release)
        written = open_dataset(self.pending.content(self.dataset.root), reading)
        # They were scored as they were written.
        found = verify(bound, written, self.budget, self.progress, rescore=False, engine=self.engine)
        if found.findings:
            self.pending.begin_again()
        _check_written(found)
        if self.samples is not None and found.samples != self.samples and not failed:
            self.pending.begin_again()
            raise InputError(
                f"the copy holds {found.samples} samples, and the dataset {self.samples}",
                "Let nothing write to either, and repeat.",
            )
        return bound, failed


def _write_all(writer: _Writer, copy: Copying) -> list[ShardDone]:
    """Write all shards that no earlier run has written."""
    pending = copy.pending
    finished = [pending.done(shard.name) if shard.is_there(writer.target) else None for shard in writer.shards]
    waiting = [number for number, result in enumerate(finished) if result is None]
    seconds = _seconds(writer, copy.dataset.size)
    engine, parts = copy.engine.worthwhile(sum(seconds)), _parts(seconds)
    done = sum(parts) - sum(parts[number] for number in waiting)

    def died(number: int) -> ShardDone:
        return next(engine.map(writer.as_it_is, [number]))

    with closing(engine.map(writer, waiting, died)) as results:
        for number, result in zip(waiting, results, strict=True):
            finished[number] = result
            done += parts[number]
            if not result.set_aside:  # what failed is tried again by the next run
                pending.mark_done(writer.shards[number].name, result)
            copy.progress("writing", done, sum(parts))
    return [result for result in finished if result]


def _seconds(writer: _Writer, size: int) -> list[float]:
    """How long each shard takes, roughly. Captions that change lie where there is much to scan."""
    painting = _TO_PAINT * writer.chosen.painted / max(1, size)
    return [(_TO_COPY + painting) * shard.size + _SCANS * shard.scanning for shard in writer.shards]


def _parts(seconds: Sequence[float]) -> list[int]:
    """Shards as so many parts of the work that all take about the same time: what is told of progress."""
    usual = sorted(seconds)[len(seconds) // 2] if seconds else 0.0
    return [max(1, round(one / usual)) if usual else 1 for one in seconds]


def _is_whole(carrier: Carrier, chosen: Chosen) -> bool:
    """Whether a carrier has both its captions and its picture."""
    return bool(carrier.captions and (carrier.sha256 or not chosen.paints(carrier.key)))


def _take_back(lost: Set[str], writer: _Writer, finished: Sequence[ShardDone], pending: Pending) -> None:
    """Write shards in which samples changed that carry no mark after all once more, with these as they were.

    Args:
        lost: normalised keys of those samples.
        writer: wrote them.
        finished: what became of the shards, in their order.
        pending: forgets that these shards are done: what is missing is tried again by the next run.
    """
    kept = replace(writer, chosen=writer.chosen.without(lost))
    for number, result in enumerate(finished):
        if any(normalised(carrier.key) in lost for carrier in result.carriers):
            pending.not_done(writer.shards[number].name)
            kept(number)


class _Unchanged:
    """Edits that change nothing."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        return captions

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        return None


def _check_planted(release: Release, drawn: Chosen, failed: Sequence[SetAside]) -> None:
    """Every carrier drawn is planted, but those that were set aside; no slot has lost all of its own."""
    lacking = len(drawn) - len(release.carriers)
    if lacking and not failed:
        raise InputError(f"{lacking} carrier(s) were not written", "Check that the dataset did not change; repeat.")
    left = {slot for carrier in release.carriers for slot in (*carrier.slots, *carrier.opposite)}
    if empty := drawn.slots - left:
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
