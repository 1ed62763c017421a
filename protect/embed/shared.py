"""What all recipients' copies of a release have in common, so that one more copy costs its captions and no more.

Glances at the pictures, captions, and which side of every site they have. A copy follows from that and from its
recipient's key; neither the pictures nor the dataset are read again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protect.alignments.wording import Wording
from protect.embed.looks import Glances
from protect.embed.select import Selection
from protect.errors import InputError
from protect.files import canonical_json
from protect.formats.dataset_format import ReadOptions
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record
from protect.formats.survey import may_change
from protect.keys.store import Store

KIND = "shared"
_FIELDS = ("levels", "usable", "states", "lines", "lanes", "reading")


@dataclass(frozen=True, eq=False)
class Shared:
    """What a release's copies have in common."""

    glances: Glances
    """At the pictures of the samples that may change, in their order."""
    states: NDArray[np.int8]
    """Side of their captions at each slot's site, -1 where it does not fit; shape (n, slots)."""
    lines: bytes
    """Their keys and captions, JSON, one sample a line."""
    lanes: NDArray[np.uint16]
    """The unfinished digest of the whole dataset, shape (1024,)."""
    reading: ReadOptions
    """How the dataset was read."""
    root: Path
    """Where it was."""

    @property
    def count(self) -> int:
        """Samples that may change."""
        return len(self.states)

    def records(self) -> Iterator[Record]:
        """These samples; their pictures are in the dataset."""
        for line in io.BytesIO(self.lines):
            key, captions = json.loads(line)
            yield Record(key, dict(captions), _no_picture)

    @property
    def digest(self) -> DatasetDigest:
        """Of the dataset as it was."""
        return DatasetDigest(self.lanes)


def hold_shared(selection: Selection, store: Store) -> str:
    """Hold in the store what copies of a selection for recipients will have in common; returns its name."""
    (part,) = selection.parts
    if selection.glances is None or not isinstance(part.alignment, Wording):
        raise InputError("recipients need copies that differ in words alone", "Use --family lean --alignment wording.")
    dataset, digest, lines = selection.dataset, DatasetDigest(), io.BytesIO()
    for record in dataset.records():
        digest.add(record)
        if may_change(record, dataset.options):
            lines.write(canonical_json([record.key, list(record.captions.items())]) + b"\n")
    changeable = (record for record in dataset.records() if may_change(record, dataset.options))
    sites = [part.alignment.sites[draw.trigger] for draw in part.drawn.slots]
    return store.hold(
        KIND,
        levels=selection.glances.levels,
        usable=selection.glances.usable,
        states=part.alignment.states(changeable, sites),
        lines=_bytes(lines.getvalue()),
        lanes=digest.lanes,
        reading=_bytes(canonical_json([str(dataset.root), asdict(dataset.options)])),
    )


@cache
def stored_shared(store: Store, name: str) -> Shared:
    """What is kept under that name.

    Raises:
        InputError: if there is nothing, or it is damaged.
    """
    levels, usable, states, lines, lanes, reading = store.get(KIND, name, *_FIELDS)
    root, said = json.loads(reading.tobytes())
    options = ReadOptions(**{field: tuple(values) for field, values in said.items()})
    return Shared(Glances(levels, usable, ()), states, lines.tobytes(), lanes, options, Path(root))


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _no_picture() -> bytes:
    raise OSError("pictures are in the dataset")
