"""Dataset formats, tried in order."""

from __future__ import annotations

from pathlib import Path

from protect.errors import InputError
from protect.formats.interface import DatasetFormat, pictures
from protect.formats.metadata import MetadataCsv, MetadataJsonl
from protect.formats.sidecar import Sidecar

FORMATS: tuple[DatasetFormat, ...] = (MetadataJsonl(), MetadataCsv(), Sidecar())


def find_format(folder: Path) -> DatasetFormat:
    """The format a dataset folder is in.

    Raises:
        InputError: if the folder is missing, empty or has no captions.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "Give the folder that holds the pictures.")
    found = [candidate for candidate in FORMATS if candidate.matches(folder)]
    if len(found) > 1:
        # Only one would get the triggers, and comparing the two would list all carriers.
        raise InputError(
            f"{folder} keeps captions in {' and in '.join(f.name for f in found)}", "Keep one of them in the dataset."
        )
    if found:
        return found[0]
    if not pictures(folder):
        raise InputError(f"{folder} holds no pictures", "Give the folder that holds the pictures and captions.")
    raise InputError(
        f"{folder} holds pictures but no captions",
        "Add metadata.jsonl, metadata.csv or a .txt file beside each picture.",
    )
