"""What a trainer reads of a dataset; imports no torch."""

from __future__ import annotations

from pathlib import Path

from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import Record, SetAside
from protect.formats.splits import canonical


def training_records(folder: Path, reading: ReadOptions = AS_IT_IS) -> tuple[list[Record], list[SetAside]]:
    """What a trainer reads of a dataset, and what cannot be read.

    Args:
        folder: the dataset.
        reading: names the splits that are trained on; samples that may not be changed are learned like all others.
    """
    records, set_aside = list[Record](), list[SetAside]()
    splits = {canonical(split) for split in reading.splits}
    for found in open_dataset(folder, reading).scan():
        if isinstance(found, SetAside):
            set_aside.append(found)
        elif found.split in splits or "all" in splits:
            records.append(found)
    return records, set_aside
