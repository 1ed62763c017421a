"""Dataset formats: which one a folder or file is, and how it is opened."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path

from protect.buckets import BucketPath
from protect.errors import InputError
from protect.files import check_spelling
from protect.formats.dataset_format import AS_IT_IS, Dataset, DatasetFormat, ReadOptions
from protect.formats.folder import is_picture
from protect.formats.metadata import ImageFolder, is_table
from protect.formats.sidecar import twin_names
from protect.formats.walk import walk

FORMATS = (
    "protect.formats.coco.Coco",
    "protect.formats.metadata.ImageFolder",
    "protect.formats.sidecar.Sidecar",
)
"""Where the formats are; each is imported when a dataset is opened."""
SHARDED = (
    "protect.formats.arrow.SavedToDisk",
    "protect.formats.webdataset.Webdataset",
    "protect.formats.parquet.Parquet",
)
"""Formats that keep pictures inside of larger files."""
IN_BUCKETS = SHARDED[1:]
"""Formats that are read from a bucket: whole files one after another, no files for each sample."""
FORMATS_OF_BUCKETS = ("webdataset", "parquet")
"""Their names."""
FALLBACK = "protect.formats.classes.ClassFolders"
"""Only where nothing else holds captions: many captioned datasets keep their pictures in folders too."""

LOOKED_FOR = (
    "metadata.jsonl, .csv or .parquet; COCO's captions_*.json; .txt, .caption or .json beside a picture; "
    "tar or parquet shards; load_from_disk"
)


def open_dataset(path: Path, options: ReadOptions = AS_IT_IS) -> Dataset:
    """Open a folder, or a file that holds a whole dataset. No picture is opened.

    Raises:
        InputError: if it is missing or empty, or has no captions, or has some that would be left as they are unasked;
            or if its path is not UTF-8.
    """
    check_spelling(path)
    if not path.exists():
        raise InputError(f"{path} does not exist", "Give the folder that holds the pictures, or a file of shards.")
    if isinstance(path, BucketPath):
        return _bucket(path, options)
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
        formats.append(getattr(importlib.import_module(module), cls)())
    return formats


def _file(path: Path, options: ReadOptions) -> Dataset:
    for candidate in _loaded(SHARDED):
        if candidate.matches(path, [path.name]):
            return candidate.open(path, [path.name], options)
    raise InputError(f"{path} is a file of no known format", "Give a folder, or a .tar, .tar.gz or .parquet file.")


def _folder(path: Path, options: ReadOptions) -> Dataset:
    root = path.resolve()
    _refuse_cache(root)
    names = walk(root)
    tables = [name for name in names if is_table(name)]
    twins = [name for name, _ in twin_names(names)]
    matching = [found for found in _loaded(FORMATS) if found.matches(root, names)]
    others = names.without((*tables, *twins))
    matching += [found for found in _loaded(SHARDED) if found.matches(root, others)]
    if len(matching) > 1:
        # Only one would get the triggers, and comparing the two would list all carriers.
        raise InputError(
            f"{path} keeps captions in two ways: {' and '.join(found.name for found in matching)}",
            "Keep one of them in the dataset.",
        )
    if not matching and tables:
        matching = [ImageFolder()]
    matching = matching or [found for found in _loaded([FALLBACK]) if found.matches(root, names)]
    if matching:
        return matching[0].open(root, names, options)
    if not any(map(is_picture, names)):
        raise InputError(f"{path} holds no pictures", "Give the folder that holds the pictures and captions.")
    raise InputError(
        f"{path} holds pictures but no captions (looked for {LOOKED_FOR})",
        "Add one of these, or sort the pictures into class folders.",
    )


def _bucket(root: BucketPath, options: ReadOptions) -> Dataset:
    if root.is_file():
        raise InputError(f"{root} is a single file in a bucket", "Give the folder that it lies in.")
    names = walk(root)
    matching = [found for found in _loaded(IN_BUCKETS) if found.matches(root, names)]
    if not matching:
        raise InputError(
            f"{root} holds no shards: a bucket is read as .tar, .tar.gz or .parquet files that hold the pictures",
            "Copy loose files, or what save_to_disk wrote, to a disk, or make shards of them.",
        )
    if loose := next((name for name in names if is_picture(name) or is_table(name)), None):
        raise InputError(f"{root} holds {loose} beside its shards", "Give a folder of shards alone.")
    return matching[0].open(root, names, options)


def _refuse_cache(root: Path) -> None:
    """The folder of a Hugging Face cache holds every file twice."""
    snapshots = sorted(root.glob("snapshots/*"))
    if snapshots and (root / "blobs").is_dir():
        raise InputError(
            f"{root} is a cache with {len(snapshots)} snapshot(s) of a dataset", f"Give one of them: {snapshots[0]}"
        )
