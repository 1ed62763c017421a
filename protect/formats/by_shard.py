"""Records of a dataset read by workers, a shard each, and given in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from protect.execution.engine import Engine, Threads
from protect.formats.dataset_format import Dataset, Shard
from protect.formats.record import Record


def records_of(dataset: Dataset, engine: Engine, wanted: Callable[[Record], bool] | None = None) -> Iterator[Record]:
    """What `Dataset.records` gives, sooner where there is much to read.

    A few shards' records are held at a time.

    Args:
        dataset: to read.
        engine: what reads it, if that pays.
        wanted: which records are given; all if not said. It is sent to the workers.
    """
    numbers = [number for number, shard in enumerate(dataset.shards) if shard.scanning]
    engine = engine.worthwhile(sum(dataset.shards[number].scanning for number in numbers))
    if isinstance(engine, Threads):  # they would take turns
        yield from (record for record in dataset.records() if wanted is None or wanted(record))
        return
    for records in engine.map(_Reader(tuple(dataset.shards), wanted), numbers):
        yield from records


@dataclass(frozen=True, slots=True)
class _Reader:
    shards: tuple[Shard, ...]
    wanted: Callable[[Record], bool] | None

    def __call__(self, number: int) -> list[Record]:
        found = (one for one in self.shards[number].scan() if isinstance(one, Record))
        return [record for record in found if self.wanted is None or self.wanted(record)]
