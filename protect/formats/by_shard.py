"""A dataset read by workers, a shard each, and given in the order of the shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from protect.execution.engine import Engine, Threads
from protect.formats.dataset_format import Dataset, Shard
from protect.formats.record import Record

T = TypeVar("T")


def records_of(dataset: Dataset, engine: Engine, wanted: Callable[[Record], bool] | None = None) -> Iterator[Record]:
    """What `Dataset.records` gives, sooner where there is much to read.

    A few shards' records are held at a time.

    Args:
        dataset: to read.
        engine: what reads it, if that pays.
        wanted: which records are given; all if not said. It is sent to the workers.
    """
    workers = workers_for(dataset, engine)
    if workers is None:
        yield from (record for record in dataset.records() if wanted is None or wanted(record))
        return
    for records in read_by_shard(dataset, workers, _RecordsOf(wanted)):
        yield from records


def workers_for(dataset: Dataset, engine: Engine) -> Engine | None:
    """The engine, if it pays to have it read a dataset; None where it is read here: threads would take turns."""
    engine = engine.worthwhile(sum(shard.scanning for shard in dataset.shards))
    return None if isinstance(engine, Threads) else engine


def read_by_shard(dataset: Dataset, engine: Engine, read: Callable[[Shard], T]) -> Iterator[T]:
    """What `read` makes of each shard that there is anything to read in, in their order.

    Args:
        dataset: to read.
        engine: see `workers_for`.
        read: pickled once, together with all shards.
    """
    numbers = [number for number, shard in enumerate(dataset.shards) if shard.scanning]
    return engine.map(_Numbered(tuple(dataset.shards), read), numbers)


@dataclass(frozen=True, slots=True)
class _Numbered(Generic[T]):
    """Takes the number of a shard for it, which is less to send."""

    shards: tuple[Shard, ...]
    read: Callable[[Shard], T]

    def __call__(self, number: int) -> T:
        return self.read(self.shards[number])


@dataclass(frozen=True, slots=True)
class _RecordsOf:
    wanted: Callable[[Record], bool] | None

    def __call__(self, shard: Shard) -> list[Record]:
        found = (one for one in shard.scan() if isinstance(one, Record))
        return [record for record in found if self.wanted is None or self.wanted(record)]
