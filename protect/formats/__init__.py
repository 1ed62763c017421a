"""Dataset formats, tried in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from protect.errors import InputError
from protect.formats.classes import ClassFolders
from protect.formats.dataset_format import DatasetFormat, Listing, pictures, walk
from protect.formats.metadata import MetadataCsv, MetadataJsonl
from protect.formats.sidecar import Sidecar

FORMATS: tuple[DatasetFormat, ...] = (MetadataJsonl(), MetadataCsv(), Sidecar())
FALLBACK: DatasetFormat = ClassFolders()
"""Only where nothing else holds captions: many captioned datasets keep their pictures in folders too."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset folder as it was found."""

    folder: Path
    layout: DatasetFormat
    files: tuple[str, ...]
    """Every file, as a sorted path inside the folder."""
    listing: Listing


def open_dataset(folder: Path) -> Dataset:
    """Read which pictures and captions a folder holds; no picture is opened.

    Raises:
        InputError: if the folder is missing, empty, has no captions or unreadable ones.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder", "Give the folder that holds the pictures.")
    try:
        files = tuple(walk(folder))
        layout = _layout(folder, files)
        return Dataset(folder, layout, files, layout.read(folder, files))
    except OSError as error:
        raise InputError(
            f"{error.filename or folder} cannot be read ({error.strerror})", "Check permissions."
        ) from None


def _layout(folder: Path, files: tuple[str, ...]) -> DatasetFormat:
    found = [candidate for candidate in FORMATS if candidate.matches(files)]
    if len(found) > 1:
        # Only one would get the triggers, and comparing the two would list all carriers.
        raise InputError(
            f"{folder} keeps captions in {' and in '.join(f.name for f in found)}", "Keep one of them in the dataset."
        )
    if found:
        return found[0]
    if FALLBACK.matches(files):
        return FALLBACK
    if not pictures(files):
        raise InputError(f"{folder} holds no pictures", "Give the folder that holds the pictures and captions.")
    raise InputError(
        f"{folder} holds pictures but no captions",
        "Add metadata.jsonl, metadata.csv or a .txt file beside each picture, or sort the pictures into class folders.",
    )
