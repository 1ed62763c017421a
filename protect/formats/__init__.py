"""Dataset formats: which one a folder or file is, and how it is opened."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.dataset_format import Dataset, DatasetFormat, ReadOptions
from protect.formats.record import LeftOut

FORMATS = (
    "protect.formats.arrow.SavedToDisk",
    "protect.formats.webdataset.Webdataset",
    "protect.formats.parquet.Parquet",
    "protect.formats.coco.Coco",
    "protect.formats.metadata.ImageFolder",
    "protect.formats.sidecar.Sidecar",
)
"""Where the formats are; each is imported when a dataset is opened."""
FALLBACK = "protect.formats.classes.ClassFolders"
"""Only where nothing else holds captions: many captioned datasets keep their pictures in folders too."""

_USUAL = ReadOptions()


def open_dataset(path: Path, options: ReadOptions = _USUAL) -> Dataset:
    """Open a folder, or a file that holds a whole dataset. No picture is opened.

    Raises:
        InputError: if it is missing or empty, or has no captions, or has some that would be left as they are unasked.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist", "Give the folder that holds the pictures, or a file of shards.")
    try:
        return _folder(path, options) if path.is_dir() else _file(path, options)
    except OSError as error:
        raise InputError(
            f"{error.filename or path} cannot be read ({error.strerror or error})", "Check permissions."
        ) from None


def _loaded(names: Sequence[str]) -> list[DatasetFormat]:
    formats = []
    for name in names:
        module, _, cls = name.rpartition(".")
        try:
            formats.append(getattr(importlib.import_module(module), cls)())
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    return formats


def _file(path: Path, options: ReadOptions) -> Dataset:
    for candidate in _loaded(FORMATS):
        if candidate.matches(path, [path.name]):
            return candidate.open(path, [path.name], options)
    raise InputError(f"{path} is a file of no known format", "Give a folder, or a .tar, .tar.gz or .parquet file.")


def _folder(path: Path, options: ReadOptions) -> Dataset:
    from protect.formats.folder import is_picture
    from protect.formats.walk import Names, entries

    root = path.resolve()
    left_out: list[LeftOut] = []
    links: dict[str, str] = {}

    def data() -> Sequence[str]:
        return [entry.path for entry in found if not entry.reason]

    found = list(entries(root))
    for entry in found:
        if entry.reason:
            left_out.append(LeftOut(entry.path, entry.reason))
        elif entry.target:
            links[entry.path] = entry.target
    names = Names(data(), left_out, links | {target: path for path, target in links.items()})
    matching = [candidate for candidate in _loaded(FORMATS) if candidate.matches(root, names)]
    if len(matching) > 1:
        # Only one would get the triggers, and comparing the two would list all carriers.
        raise InputError(
            f"{path} keeps captions in {' and in '.join(f.name for f in matching)}", "Keep one of them in the dataset."
        )
    matching = matching or [fallback for fallback in _loaded([FALLBACK]) if fallback.matches(root, names)]
    if matching:
        return matching[0].open(root, names, options)
    if not any(map(is_picture, names)):
        raise InputError(f"{path} holds no pictures", "Give the folder that holds the pictures and captions.")
    raise InputError(
        f"{path} holds pictures but no captions (looked for metadata.jsonl, .csv or .parquet, COCO annotations, .txt, "
        ".caption or .json files beside the pictures)",
        "Add one of these, or sort the pictures into class folders.",
    )
