"""Where a copy may be written, and where its commitment lies."""

from __future__ import annotations

import os
from pathlib import Path
from unicodedata import category

from protect.buckets import BucketPath
from protect.embed.published import ENDING, read_published
from protect.errors import InputError
from protect.files import PARTIAL, check_spelling
from protect.formats import FORMATS_OF_BUCKETS
from protect.formats.dataset_format import Dataset
from protect.keys.keyring import Keyring

_NOT_IN_NAMES = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Kinds of characters, as Unicode calls them: controls, half characters, ends of lines and paragraphs."""


def commitment_file(output: Path) -> Path:
    """The file to publish, beside a copy."""
    return output.with_name(output.name + ENDING)


def ending(dataset: Path) -> str:
    """What a copy's name ends in: the endings of a single file, nothing for a folder.

    >>> ending(Path("no-such-folder/cats.v2"))
    ''
    """
    if not dataset.is_file():
        return ""
    doubled = "".join(dataset.suffixes[-2:]).lower()
    return "".join(dataset.suffixes[-2:]) if doubled == ".tar.gz" else dataset.suffix


def check_places(dataset: Path, output: Path, home: Path, *, dry_run: bool = False) -> None:
    """Refuse places that would overwrite something, or put secrets or the copy into the dataset.

    Args:
        dataset: the original.
        output: the copy.
        home: the keyring.
        dry_run: whether nothing will be written, so that a copy may be there.

    Raises:
        InputError: naming the place.
    """
    check_spelling(dataset)
    check_spelling(output)
    if home.is_relative_to(dataset) or home.is_relative_to(output):
        raise InputError(f"the keyring {home} lies inside the dataset or its copy", "Set TRACEMARK_HOME elsewhere.")
    if isinstance(output, BucketPath):
        _check_bucket(dataset, output, dry_run=dry_run)
    elif output.exists() and not dry_run:
        raise InputError(f"{output} exists already", "Give --output another folder; nothing is ever overwritten.")
    elif not output.parent.is_dir():
        raise InputError(f"{output.parent} is not a folder", "Make it, or give --output another place.")
    elif not os.access(output.parent, os.W_OK):
        raise InputError(f"{output.parent} is not writable", "Give --output another place.")
    if not output.name.lower().endswith(ending(dataset).lower()):
        raise InputError(
            f"{output} is to be a file like {dataset.name}", f"Give --output a name that ends in {ending(dataset)}."
        )
    if output.is_relative_to(dataset):
        raise InputError(f"{output} lies inside the dataset", "Give --output a place outside it.")


def release_name(given: str | None, output: Path) -> str:
    """What people call a release: what they gave, or the output's name.

    Raises:
        InputError: if it holds control characters or ends of lines, which would break lists.
    """
    name = given or output.name
    if any(category(letter) in _NOT_IN_NAMES for letter in name):
        what = "--name" if given else "the output's name"
        raise InputError(f"{what} {name!r} holds control characters", "Give a --name without them.")
    return name


def refuse_marked(dataset: Path, keyring: Keyring) -> None:
    """Refuse a dataset that is a marked copy itself, as the commitment beside it says; a bucket is not asked for one.

    Raises:
        InputError: naming the release, if the keyring holds it, retired or not.
    """
    if isinstance(dataset, BucketPath):
        return
    try:
        found = read_published(commitment_file(dataset.resolve())).release
    except (InputError, ValueError):  # none beside it, or the root, which has no name
        return
    if keyring.has_copy(found) or any(one.id == found and one.complete for one in keyring.retired()):
        raise InputError(
            f"{dataset} is a marked copy itself (release {found})", "Give the original, or --anyway to mark it again."
        )


def unfinished_mark(output: BucketPath) -> BucketPath:
    """The object beside a copy in a bucket that is there while the copy is unfinished."""
    return output.with_name(output.name + PARTIAL)


def _check_bucket(dataset: Path, output: BucketPath, *, dry_run: bool) -> None:
    if output == output.bucket:
        raise InputError(f"{output} is a whole bucket", "Give --output a folder in it.")
    if dataset.is_file():
        raise InputError(f"{dataset} is a single file", "Put it into a folder: a bucket takes folders of shards.")
    if not dry_run and output.exists() and not unfinished_mark(output).exists():
        raise InputError(f"{output} exists already", "Give --output another folder; nothing is ever overwritten.")
    if not output.bucket.exists():
        raise InputError(f"the bucket {output.bucket} does not exist", "Make it, or give another --output.")


def check_bucket(dataset: Dataset, output: BucketPath) -> None:
    """Refuse what no bucket takes; write beside the copy, and delete it again, before any work.

    Raises:
        InputError: if the dataset is not in shards, or the bucket may not be written to.
    """
    if dataset.format not in FORMATS_OF_BUCKETS:
        raise InputError(
            f"{dataset.root} is of the form {dataset.format}: a bucket takes tar or parquet shards",
            "Write the copy to a disk, or make shards of the dataset.",
        )
    tried = output.with_name(f"{output.name}.try{PARTIAL}")
    tried.put(b"")
    tried.remove()
