"""Why a sample cannot carry a mark: from its file and captions alone, never from the mark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protect.alignments.alignment import Alignment
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, batches
from protect.formats.record import Record
from protect.marks.family import MarkFamily
from protect.pixels.captions import embedded_captions
from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba
from protect.progress import Progress

_SHORTEST_REPEAT = 12
"""Characters from which a caption found inside a picture file is no chance meeting."""
_BATCH = 8
"""Pictures that a worker looks at in one go."""
_SECONDS = 0.01
"""That a look at a whole picture takes."""


def obstacles(
    family: MarkFamily,
    alignment: Alignment,
    leave: Sequence[str],
    budget: MemoryBudget,
    progress: Progress,
    engine: Engine,
) -> Callable[[Sequence[Record]], Sequence[str | None]]:
    """Why samples cannot carry a mark, or None: a function that looks at several at a time.

    Args:
        family: what is to be planted.
        alignment: how triggers meet captions.
        leave: fields that may keep the old caption.
        budget: memory for pictures.
        progress: told (stage, done, total).
        engine: what decodes.
    """
    look = _Look(family, alignment, leave, budget)

    def look_at_all(records: Sequence[Record]) -> Sequence[str | None]:
        reasons: list[str | None] = []
        worker = engine.worthwhile(len(records) * _SECONDS)
        # In the order of the keys, so that what lies together is read together.
        order = sorted(range(len(records)), key=lambda i: records[i].key)
        for some in worker.map(look, batches((records[place] for place in order), _BATCH)):
            reasons += some
            progress("looking at pictures", len(reasons), len(records))
        found: list[str | None] = [None] * len(records)
        for place, reason in zip(order, reasons, strict=True):
            found[place] = reason
        return found

    return look_at_all


@dataclass(frozen=True, slots=True)
class _Look:
    family: MarkFamily
    alignment: Alignment
    leave: Sequence[str]
    budget: MemoryBudget

    def __call__(self, records: Sequence[Record]) -> list[str | None]:
        return [self._obstacle(record) for record in records]

    def _obstacle(self, record: Record) -> str | None:
        changed = self.alignment.align(record.caption, "x") != record.caption
        return _obstacle(record, self.family, self.leave if changed else None, self.budget)


def _obstacle(record: Record, family: MarkFamily, leave: Sequence[str] | None, budget: MemoryBudget) -> str | None:
    """Why a sample cannot carry a mark. Depends on its file and captions alone.

    Args:
        record: the sample.
        family: what is to be planted.
        leave: fields that may keep the old caption; None if captions do not change.
        budget: memory.
    """
    try:
        data = record.read()
        with budget.hold(pixel_count(data) * family.bytes_per_pixel):
            reason = picture_obstacle(data, family)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except PictureError as error:
        return error.what
    if reason is None and leave is not None:
        reason = repeated_caption(data, record, leave)
    return reason


def picture_obstacle(data: bytes, family: MarkFamily) -> str | None:
    """Why a picture file cannot carry a mark of a family, or be written back with one.

    Raises:
        PictureError: if it cannot be decoded.
    """
    picture = read_rgba(data)
    return obstacle(data, decoded=True) or family.obstacle(picture)


def repeated_caption(data: bytes, record: Record, leave: Sequence[str]) -> str | None:
    """Why a sample's caption may not change: its file says it too, and would go on saying the old one."""
    for name, text in embedded_captions(data).items():
        repeats = any(len(c) >= _SHORTEST_REPEAT and c.strip() in text for c in record.captions.values())
        if repeats and name not in leave:
            return f"its file repeats the caption in {name} (to leave it there: --leave-captions {name})"
    return None
