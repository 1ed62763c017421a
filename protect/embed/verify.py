"""`protect verify`: read every carrier back from disk; check its bytes, its captions and its mark.

Where a mark leaves pictures alone, the record knows nothing of them: they must be there and open.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from protect.embed.score import mark_score
from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL, MemoryBudget
from protect.execution.engine import Engine, Threads, batches
from protect.formats.by_shard import records_of
from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, normalised
from protect.pixels.picture import PictureError, pixel_count, read_rgba
from protect.pixels.small import read_small
from protect.progress import Progress, no_progress
from protect.release.bound import BoundRelease, BoundSlot
from protect.release.record import Carrier, Release

_BATCH, _TO_SCORE, _TO_HASH, _TO_OPEN = 64, 1e-2, 5e-4, 1e-3
"""Carriers that a worker checks in one go; seconds for a picture that is scored, only read, and opened."""
_OPENED_AT = 64
"""Pixels to which a JPEG may be scaled down while it is opened."""
_SAME_SCORE = 1e-6
_STILL_STRONG = 0.5
"""Share of its score at which a changed carrier's mark is called strong."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with a carrier."""

    key: str
    problem: str


@dataclass(frozen=True, slots=True)
class Verification:
    """Outcome of reading a protected copy back."""

    carriers: int
    left_alone: int
    """Carriers whose pictures the marks left alone: they were opened, and compared with nothing."""
    intact: int
    findings: tuple[Finding, ...]
    samples: int
    """That the copy holds, carriers or not."""


def verify(
    bound: BoundRelease,
    copy: Dataset,
    budget: MemoryBudget | None = None,
    progress: Progress = no_progress,
    *,
    rescore: bool = True,
    engine: Engine | None = None,
) -> Verification:
    """Check every carrier of a protected copy.

    Args:
        bound: the release with its carriers.
        copy: the protected copy.
        budget: memory for pictures.
        progress: told (stage, done, total).
        rescore: whether marks are scored again in files that have the bytes of the record, too, and pictures opened
                that the marks left alone.
        engine: what reads pictures; threads if not given.

    Raises:
        InputError: if the copy holds none of the carriers.
    """
    carriers, memory, engine = bound.release.carriers, budget or MemoryBudget(), engine or Threads()
    place = {normalised(carrier.key): i for i, carrier in enumerate(carriers)}
    missing, samples = dict.fromkeys(place), 0

    def pairs() -> Iterator[tuple[Carrier, Record | None]]:
        nonlocal samples
        for record in records_of(copy, engine):
            samples += 1
            if (key := normalised(record.key)) in missing:
                del missing[key]
                yield carriers[place[key]], record
        if len(missing) < len(carriers):
            yield from ((carriers[place[key]], None) for key in missing)

    painted = sum(bool(carrier.sha256) for carrier in carriers)
    cost = painted * (_TO_SCORE if rescore else _TO_HASH) + (len(carriers) - painted) * _TO_OPEN * rescore
    worker = engine.worthwhile(cost)
    findings, done = list[Finding](), 0
    for problems in worker.map(_Check(bound.slots, memory, rescore), batches(pairs(), _BATCH)):
        findings += [Finding(key, problem) for key, problem in problems if problem]
        done += len(problems)
        progress("verifying", done, len(carriers))
    if not done:
        raise InputError(
            f"{copy.root} holds none of the {len(carriers)} carriers of release {bound.release.id}",
            "Give the protected copy that belongs to this release.",
        )
    findings.sort(key=lambda finding: place[normalised(finding.key)])
    left_alone = len(carriers) - painted
    return Verification(len(carriers), left_alone, len(carriers) - len(findings), tuple(findings), samples)


@dataclass(frozen=True, slots=True)
class _Check:
    slots: Sequence[BoundSlot]
    budget: MemoryBudget
    rescore: bool

    def __call__(self, pairs: Sequence[tuple[Carrier, Record | None]]) -> list[tuple[str, str | None]]:
        return [(carrier.key, self._problem(carrier, record)) for carrier, record in pairs]

    def _problem(self, carrier: Carrier, record: Record | None) -> str | None:
        slot = self.slots[(*carrier.slots, *carrier.opposite)[0]]
        return _problem(carrier, record, slot, self.budget, rescore=self.rescore)


def carrier_records(release: Release, copy: Dataset) -> dict[str, Record]:
    """The carriers that a copy holds, by normalised key."""
    wanted = {normalised(c.key) for c in release.carriers}
    return {key: record for record in copy.records() if (key := normalised(record.key)) in wanted}


def belongs(release: Release, found: Mapping[str, Record]) -> int:
    """How many carriers of a release are in a copy with their captions as released."""
    return sum(
        (record := found.get(normalised(c.key))) is not None and dict(record.captions) == dict(c.captions)
        for c in release.carriers
    )


def _problem(
    carrier: Carrier, record: Record | None, slot: BoundSlot, budget: MemoryBudget, *, rescore: bool
) -> str | None:
    if record is None:
        return "picture or caption is missing"
    if dict(record.captions) != dict(carrier.captions):
        return "caption changed"
    if not carrier.sha256 and not rescore:
        return None
    try:
        data = record.read()
        if not carrier.sha256:
            with budget.hold(pixel_count(data) * BYTES_PER_PIXEL):
                read_small(data, _OPENED_AT)
            return None
        as_released = hashlib.sha256(data).hexdigest() == carrier.sha256
        if as_released and not rescore:
            return None
        with budget.hold(pixel_count(data) * slot.family.bytes_per_pixel):
            family = slot.alignment.for_sample(slot.family, record.caption, slot.trigger)
            score = mark_score(family, read_rgba(data), None, slot.planted)
    except (OSError, PictureError):
        return "picture cannot be read"
    if not as_released:
        if score is None:
            return "bytes changed"
        kept = "mark still strong" if score > _STILL_STRONG * carrier.score else "mark weakened"
        return f"bytes changed ({kept}: score {score:.3f}, released with {carrier.score:.3f})"
    if score is None or abs(score - carrier.score) < _SAME_SCORE:
        return None
    return "mark differs from the record"
