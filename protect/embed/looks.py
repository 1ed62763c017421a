"""The pass over all pictures that families which choose need: what each looks like at a glance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL, MemoryBudget
from protect.execution.engine import Engine, Threads, batches
from protect.formats.record import Record, SetAside
from protect.marks.family import Array, Pixels
from protect.marks.looks import FEWEST_PICTURES, SIDE, Looks, LooksFit, glance
from protect.pixels.picture import PictureError, pixel_count
from protect.pixels.small import read_small
from protect.progress import Progress, no_progress

_SEEN_AT = 8 * SIDE
"""Pixels to which a JPEG may be scaled down while it is decoded: eight for each cell."""
_CHUNK = 1_024
"""Glances that are worked on together."""
_BATCH = 64
"""Pictures that a worker looks at in one go."""
_SECONDS = 1e-3
"""That a look takes."""

Refusal = Callable[[Record, bytes], str | None]
"""Why a sample cannot be a carrier, given its file's bytes, or None; never depends on a mark."""


@dataclass(frozen=True, eq=False)
class Glances:
    """One glance of 192 bytes for each sample, in their order."""

    levels: NDArray[np.uint8]
    """Shape (n, 8, 8, 3)."""
    usable: NDArray[np.bool_]
    """Shape (n,)."""
    set_aside: tuple[SetAside, ...]
    """Samples that cannot be used."""

    def fitted(self, *, symmetric: bool = True) -> Looks:
        """Looks of these pictures.

        Raises:
            InputError: if there are too few, or they hardly differ.
        """
        usable = int(self.usable.sum())
        if usable < FEWEST_PICTURES and self.set_aside:
            first = self.set_aside[0]
            raise InputError(
                f"{usable} pictures can be looked at; {len(self.set_aside)} cannot, as {first.key} ({first.reason})",
                f"Mend them or use more: marks that change no picture need {FEWEST_PICTURES}.",
            )
        fit = LooksFit(symmetric=symmetric)
        for chunk in self._chunks():
            fit.add(self.levels[chunk][self.usable[chunk]].astype(np.float64))
        return fit.looks()

    def leanings(self, looks: Looks, lean: Callable[[Array], Array]) -> Array:
        """Leaning of each picture, shape (n,); not a number where it cannot be used.

        Args:
            looks: of the dataset.
            lean: from looks (n, d) to leanings (n,).
        """
        found = np.full(len(self.levels), np.nan)
        for chunk in self._chunks():
            found[chunk] = lean(looks.of_glances(self.levels[chunk].astype(np.float64)))
        found[~self.usable] = np.nan
        return found

    def _chunks(self) -> Iterator[slice]:
        return (slice(start, start + _CHUNK) for start in range(0, len(self.levels), _CHUNK))


def take_glances(
    records: Iterable[Record],
    count: int,
    refusal: Refusal,
    budget: MemoryBudget,
    progress: Progress = no_progress,
    engine: Engine | None = None,
) -> Glances:
    """Look at every picture once.

    Args:
        records: the samples that may be changed.
        count: how many they are.
        refusal: pickled, if the engine has other processes.
        budget: memory for pictures.
        progress: told (stage, done, total).
        engine: what decodes.
    """
    worker = (engine or Threads()).worthwhile(count * _SECONDS)
    levels = np.zeros((count, SIDE, SIDE, 3), dtype=np.uint8)
    usable = np.zeros(count, dtype=np.bool_)
    set_aside: list[SetAside] = []
    place = 0
    for found in worker.map(_Look(refusal, budget), batches(records, _BATCH)):
        for key, seen in found:
            if isinstance(seen, str):
                set_aside.append(SetAside(key, seen))
            else:
                levels[place], usable[place] = seen, True
            place += 1
        progress("looking at pictures", place, count)
    return Glances(levels, usable, tuple(set_aside))


@dataclass(frozen=True, slots=True)
class _Look:
    refusal: Refusal
    budget: MemoryBudget

    def __call__(self, records: Sequence[Record]) -> list[tuple[str, Pixels | str]]:
        return [(record.key, _look(record, self.refusal, self.budget)) for record in records]


def _look(record: Record, refusal: Refusal, budget: MemoryBudget) -> Pixels | str:
    try:
        data = record.read()
        with budget.hold(pixel_count(data) * BYTES_PER_PIXEL):
            reason = refusal(record, data)
            seen = np.rint(glance(read_small(data, _SEEN_AT)[None])[0]).astype(np.uint8)
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"
    except PictureError as error:
        return error.what
    return reason or seen


def without_obstacles(records: Sequence[Record]) -> list[str | None]:
    """Obstacles of samples that were looked at already: those that cannot be used lean nowhere."""
    return [None] * len(records)
