"""What a copy of a large dataset will cost, told within seconds from a few of its shards. Nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from protect.buckets import BucketPath
from protect.embed.expectation import Expectation
from protect.embed.forecast import Forecast, best, forecast
from protect.embed.looks import take_glances
from protect.embed.places import check_places
from protect.embed.select import Selection, select
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, Threads
from protect.formats import open_dataset
from protect.formats.caption_table import TableShard
from protect.formats.dataset_format import AS_IT_IS, Dataset, ReadOptions
from protect.formats.folder import FolderDataset
from protect.formats.record import Record
from protect.formats.sampled import Sample, sample_of
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.keys.tree import KeyTree, new_secret
from protect.marks import family_class, make_family
from protect.marks.family import ChoosingFamily, MarkFamily
from protect.pixels.picture import PictureError, obstacle, read_rgba, rewrite
from protect.progress import Progress, no_progress
from protect.release.plan import Options, PartOptions

LARGE = 20_000
"""Samples from which on a dry run reads a few shards only, unless told otherwise."""
_PASSES = 5
"""How often one process goes through all captions besides."""
_WORDS = 10.0
"""What drawing, writing and reading back captions costs, in readings of a caption."""
_FASTEST = 500e6
"""Bytes in a second: what was read a moment ago is in memory, and says nothing of the disk."""
_FILE = 4e-5
"""Seconds to make a file or a link."""
_LOOKED_AT, _PAINTED = 100, 6
"""Pictures that are looked at, and painted, to tell how long it takes."""
_START = 3.0
_BLOCK = 4096
"""Bytes that a small file takes."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a copy will cost, and how that is known."""

    sample: Sample
    carriers: int
    painted: int
    """Carriers whose pictures change."""
    bytes: int
    """Of the copy."""
    written: int
    """Bytes of it that are not links."""
    free: int | None
    """Bytes on the disk of the output; None for a bucket, which has no end."""
    looks: float
    """Seconds to look at all pictures, if a family needs that."""
    rest: float
    """Seconds for all else."""
    workers: int
    forecast: Forecast | None
    """None if the few samples are too few for a release with these options."""
    obstacle: str
    """Why not; else empty."""

    @property
    def fits(self) -> bool:
        """Whether there is room for the copy."""
        return self.free is None or self.written < self.free


def is_large(dataset: Dataset) -> bool:
    """Whether a dataset holds so much that a dry run had better read a few shards."""
    if isinstance(dataset, FolderDataset):
        return len(dataset.names) > LARGE
    return sum(shard.scanning for shard in dataset.shards) > 2.0


def estimate(
    folder: Path,
    output: Path,
    options: Options,
    keyring: Keyring,
    *,
    reading: ReadOptions = AS_IT_IS,
    expectation: Expectation,
    engine: Engine,
    link: bool = False,
    progress: Progress = no_progress,
) -> Estimate | None:
    """What `embed` would cost, from a few shards; None if the dataset is so small that it can be read whole.

    Args:
        folder: the dataset.
        output: where the copy would be.
        options: the owner's decisions.
        keyring: holds what families need; nothing is kept in it.
        reading: what the owner says about the dataset.
        expectation: how a thief is expected to train.
        engine: what would do the work.
        link: whether files that do not change would be linked.
        progress: told about stages.

    Raises:
        InputError: on bad options or datasets.
    """
    options.check()
    check_places(folder.resolve(), output.resolve(), keyring.home.resolve(), dry_run=True)
    dataset = open_dataset(folder.resolve(), reading)
    if not is_large(dataset):
        return None
    found = sample_of(dataset)
    progress("reading a few shards", found.read, found.read)
    store = Store(keyring.store.folder)
    selection, why = _tried(found, options, store, progress)
    changeable = round(found.samples * found.changeable)
    painting = [part for part in options.parts if _paints(part, store)]
    painted = min(changeable, sum(round(part.rate * changeable) for part in painting))
    carriers = min(changeable, sum(round(part.rate * changeable) for part in options.parts))
    records = list(found.dataset.records())
    looks = _seconds_to_look(records) * changeable if _needs_looks(options) else 0.0
    size, files = dataset.size, len(dataset.names) if isinstance(dataset, FolderDataset) else len(dataset.shards)
    written = _written(dataset, carriers, painted, found.samples) if link else size
    words = found.seconds * found.samples
    alone = _PASSES * words + _START + files * _FILE + 2 * written / _speed(records)
    shared = (1 + _WORDS * carriers / max(1, changeable)) * words
    shared += painted * max((_seconds_to_paint(records, part, store) for part in painting), default=0.0)
    return Estimate(
        sample=found,
        carriers=carriers,
        painted=painted,
        bytes=size,
        written=written,
        free=None if isinstance(output, BucketPath) else shutil.disk_usage(output.resolve().parent).free,
        looks=looks / engine.workers,
        rest=alone + shared / engine.workers,
        workers=engine.workers,
        forecast=_forecast(selection, options, found, changeable, expectation) if selection else None,
        obstacle=why,
    )


def _tried(found: Sample, options: Options, store: Store, progress: Progress) -> tuple[Selection | None, str]:
    """A selection from the few samples with a throw-away key, to see that the options fit; or why there is none."""
    try:
        return select(found.dataset, options, KeyTree(new_secret()), store, MemoryBudget(), progress, Threads()), ""
    except InputError as error:
        return None, error.what


def _paints(part: PartOptions, store: Store) -> bool:
    if not issubclass(family_class(part.family), ChoosingFamily):
        return True
    family = make_family(part.family, part.family_options, store)
    return isinstance(family, ChoosingFamily) and family.changes_pictures


def _needs_looks(options: Options) -> bool:
    return any(family_class(part.family).needs_looks for part in options.parts)


def _seconds_to_look(records: Sequence[Record]) -> float:
    some = records[:_LOOKED_AT]
    start = perf_counter()
    take_glances(some, len(some), lambda record, data: None, MemoryBudget(), engine=Threads(1))
    return (perf_counter() - start) / max(1, len(some))


def _seconds_to_paint(records: Sequence[Record], part: PartOptions, store: Store) -> float:
    """For one picture; 0 if that cannot be tried without the looks of all pictures."""
    try:
        family = make_family(part.family, part.family_options, store)
        times = [_paint(record, family) for record in records[:_PAINTED]]
    except InputError:
        return 0.0
    return float(np.mean([time for time in times if time is not None] or [0.0]))


def _paint(record: Record, family: MarkFamily) -> float | None:
    start = perf_counter()
    try:
        data = record.read()
        picture = read_rgba(data)
        if obstacle(data, decoded=True) or family.obstacle(picture):
            return None
        read_rgba(rewrite(data, family.plant(picture, 0, np.random.default_rng(0))))
    except (OSError, PictureError):
        return None
    return perf_counter() - start


def _speed(records: Sequence[Record]) -> float:
    """Bytes in a second, as pictures are read."""
    start, size = perf_counter(), 0
    for record in records[:_LOOKED_AT]:
        try:
            size += len(record.read())
        except OSError:
            continue
    return min(_FASTEST, size / max(1e-6, perf_counter() - start)) or _FASTEST


def _written(dataset: Dataset, carriers: int, painted: int, samples: int) -> int:
    """Bytes that are not links: tables of captions, and files that change. Shards hold a carrier each, nearly."""
    if not isinstance(dataset, FolderDataset):
        return dataset.size
    texts = sum(shard.size for shard in dataset.shards if isinstance(shard, TableShard))
    beside = 0 if texts else _BLOCK * carriers
    return min(dataset.size, texts + beside + round(dataset.size * painted / max(1, samples)))


def _forecast(
    selection: Selection, options: Options, found: Sample, changeable: int, expectation: Expectation
) -> Forecast:
    """The power of a release of the whole dataset: as many slots, and carriers in proportion."""
    scale = changeable / max(1, selection.survey.changeable)
    forecasts = []
    for part in selection.parts:
        taught = [draw.taught for draw in part.drawn.slots]
        few, mean = round(scale * min(taught)), scale * sum(taught) / len(taught)
        forecasts.append(forecast(part.options, few, changeable, expectation, slots=len(taught), on_average=mean))
    return best(forecasts)
