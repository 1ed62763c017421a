"""A few shards of a large dataset, read to tell what all of it holds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

from protect.formats.dataset_format import Dataset, Shard
from protect.formats.record import Record, SetAside
from protect.formats.survey import may_change

FEWEST_SHARDS, MOST_SHARDS = 4, 64
ENOUGH = 5_000
"""Samples after which no further shard is read, if there are `FEWEST_SHARDS`."""
KEPT = 1_200
"""Samples that are kept to be looked at."""


class Sampled(Dataset):
    """Some records of a dataset as if they were all."""

    def __init__(self, whole: Dataset, records: Sequence[Record]) -> None:
        self.format, self.root, self.options = whole.format, whole.root, whole.options
        self.for_classifiers, self.columns = whole.for_classifiers, whole.columns
        self._records = tuple(records)

    @property
    def shards(self) -> Sequence[Shard]:
        """None: nothing can be written from them."""
        return ()

    def scan(self) -> Iterator[Record | SetAside]:
        """The records."""
        return iter(self._records)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a few shards tell of all."""

    shards: int
    """That hold captions."""
    read: int
    """Of these."""
    samples: int
    """In the whole dataset, as far as can be told."""
    margin: int
    """So many more or fewer there may be (95 %, from how much shards differ); 0 if all were read."""
    changeable: float
    """Share of them that may be changed."""
    set_aside: int
    """In the whole dataset."""
    seconds: float
    """To read the captions of a sample."""
    dataset: Sampled
    """Some of those that may be changed."""


def sample_of(dataset: Dataset, most: int = MOST_SHARDS) -> Sample:
    """Read a few shards, drawn by the hashes of their names: the same for everybody.

    The number of samples is estimated from the bytes of shards (ratio estimator: Cochran, Sampling Techniques, ch. 6).

    Args:
        dataset: opened.
        most: shards to read.
    """
    shards = [shard for shard in dataset.shards if shard.scanning]
    drawn = sorted(shards, key=lambda shard: hashlib.blake2b(shard.name.encode(), digest_size=8).digest())
    rows: list[tuple[int, int, int]] = []
    kept: list[Record] = []
    start, changeable = perf_counter(), 0
    for shard in islice(drawn, most):
        if len(rows) >= FEWEST_SHARDS and sum(count for count, _, _ in rows) >= ENOUGH:
            break
        found = list(shard.scan())
        records = [one for one in found if isinstance(one, Record)]
        fitting = [record for record in records if may_change(record, dataset.options)]
        changeable += len(fitting)
        kept += fitting[: KEPT // FEWEST_SHARDS] if len(kept) < KEPT else []
        rows.append((len(records), len(found) - len(records), shard.size))
    seconds = perf_counter() - start
    counts, aside, read = (sum(column) for column in zip(*rows, strict=True)) if rows else (0, 0, 0)
    whole = sum(shard.size for shard in shards)
    scale = whole / read if read else 1.0
    return Sample(
        shards=len(shards),
        read=len(rows),
        samples=round(counts * scale),
        margin=0 if len(rows) == len(shards) else _margin(rows, whole, len(shards)),
        changeable=changeable / max(1, counts),
        set_aside=round(aside * scale),
        seconds=seconds / max(1, counts + aside),
        dataset=Sampled(dataset, kept),
    )


def _margin(rows: Sequence[tuple[int, int, int]], whole: int, shards: int) -> int:
    """Twice the standard error of the number of samples."""
    read = sum(size for _, _, size in rows)
    ratio = sum(count for count, _, _ in rows) / read
    squares = sum((count - ratio * size) ** 2 for count, _, size in rows) / max(1, len(rows) - 1)
    error = shards * math.sqrt(squares / len(rows) * (1 - len(rows) / shards))
    return round(2 * error * whole / shards * len(rows) / read)
