"""What all recipients' copies of a release have in common, so that one more copy costs what it has of its own.

For choices of words: glances at the pictures, captions, and which side of every site they have. For painted pictures:
the carriers of every slot. A copy follows from that and from its recipient's key; nothing is looked at again.
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

from protect.alignments.alignment import Draw
from protect.alignments.wording import Wording
from protect.buckets import place
from protect.embed.looks import Glances
from protect.embed.select import SelectedPart, Selection, changeable
from protect.files import canonical_json
from protect.formats.dataset_format import ReadOptions
from protect.formats.digest import DatasetDigest
from protect.formats.record import Record, normalised
from protect.keys.store import Store
from protect.marks.looks import SIDE

KIND = "shared"
_NO_GLANCES = Glances(np.zeros((0, SIDE, SIDE, 3), dtype=np.uint8), np.zeros(0, dtype=np.bool_), ())
_FIELDS = ("levels", "usable", "states", "lines", "lanes", "reading")


@dataclass(frozen=True, eq=False)
class Shared:
    """What a release's copies have in common."""

    glances: Glances
    """At the pictures of the samples that may change, in their order; none where pictures are painted."""
    states: NDArray[np.int8]
    """Side of their captions at each slot's site, -1 where it does not fit, shape (n, slots); likewise none."""
    lines: bytes
    """Keys and captions of the samples that may change, JSON, one sample a line; where pictures are painted, of the
    carriers, with their slots."""
    lanes: NDArray[np.uint16]
    """The unfinished digest of the whole dataset, shape (1024,)."""
    reading: ReadOptions
    """How the dataset was read."""
    root: Path
    """Where it was."""

    @property
    def count(self) -> int:
        """Samples that may get another wording."""
        return len(self.states)

    def records(self) -> Iterator[Record]:
        """These samples; their pictures are in the dataset."""
        return (record for record, _ in self._rows())

    def draws(self, triggers: list[str]) -> list[Draw]:
        """The carriers of every slot, where pictures are painted.

        Args:
            triggers: of the slots.
        """
        carriers: list[list[Record]] = [[] for _ in triggers]
        for record, slots in self._rows():
            for slot in slots:
                carriers[slot].append(record)
        return [Draw(trigger, tuple(own)) for trigger, own in zip(triggers, carriers, strict=True)]

    @property
    def digest(self) -> DatasetDigest:
        """Of the dataset as it was."""
        return DatasetDigest(self.lanes)

    def _rows(self) -> Iterator[tuple[Record, list[int]]]:
        for line in io.BytesIO(self.lines):
            key, captions, slots = json.loads(line)
            yield Record(key, dict(captions), _no_picture), slots


def hold_shared(selection: Selection, store: Store) -> str:
    """Hold in the store what copies of a selection for recipients will have in common; returns its name."""
    (part,) = selection.parts
    dataset, digest = selection.dataset, DatasetDigest()
    for record in dataset.records():
        digest.add(record)
    glances, states, lines = _NO_GLANCES, np.zeros((0, len(part.drawn.slots)), dtype=np.int8), _carriers(part)
    if isinstance(part.alignment, Wording) and selection.glances:
        glances, sites = selection.glances, [part.alignment.sites[draw.trigger] for draw in part.drawn.slots]
        states = part.alignment.states(changeable(dataset), sites)
        lines = b"".join(_line(record, []) for record in changeable(dataset))
    return store.hold(
        KIND,
        levels=glances.levels,
        usable=glances.usable,
        states=states,
        lines=_bytes(lines),
        lanes=digest.lanes,
        reading=_bytes(canonical_json([str(dataset.root), asdict(dataset.options)])),
    )


def _carriers(part: SelectedPart) -> bytes:
    slots: dict[str, list[int]] = {}
    records: dict[str, Record] = {}
    for number, draw in enumerate(part.drawn.slots):
        for record in draw.carriers:
            records[normalised(record.key)] = record
            slots.setdefault(normalised(record.key), []).append(number)
    return b"".join(_line(record, slots[key]) for key, record in records.items())


def _line(record: Record, slots: list[int]) -> bytes:
    return canonical_json([record.key, list(record.captions.items()), slots]) + b"\n"


@cache
def stored_shared(store: Store, name: str) -> Shared:
    """What is kept under that name.

    Raises:
        InputError: if there is nothing, or it is damaged.
    """
    levels, usable, states, lines, lanes, reading = store.get(KIND, name, *_FIELDS)
    root, said = json.loads(reading.tobytes())
    options = ReadOptions(**{field: tuple(values) for field, values in said.items()})
    return Shared(Glances(levels, usable, ()), states, lines.tobytes(), lanes, options, place(root))


def _bytes(data: bytes) -> NDArray[np.uint8]:
    return np.frombuffer(data, dtype=np.uint8)


def _no_picture() -> bytes:
    raise OSError("pictures are in the dataset")
