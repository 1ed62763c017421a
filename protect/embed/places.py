"""Where a copy may be written, and where its commitment lies."""

from __future__ import annotations

import os
from pathlib import Path

from protect.errors import InputError


def commitment_file(output: Path) -> Path:
    """The file to publish, beside a copy."""
    return output.with_name(output.name + ".commitment.json")


def ending(dataset: Path) -> str:
    """What a copy's name ends in: the endings of a single file, nothing for a folder.

    >>> ending(Path("no-such-folder/cats.v2"))
    ''
    """
    if not dataset.is_file():
        return ""
    doubled = "".join(dataset.suffixes[-2:]).lower()
    return "".join(dataset.suffixes[-2:]) if doubled == ".tar.gz" else dataset.suffix


def check_places(dataset: Path, output: Path, home: Path) -> None:
    """Refuse places that would overwrite something, or put secrets or the copy into the dataset.

    Raises:
        InputError: naming the place.
    """
    if home.is_relative_to(dataset) or home.is_relative_to(output):
        raise InputError(f"the keyring {home} lies inside the dataset or its copy", "Set TRACEMARK_HOME elsewhere.")
    if output.exists():
        raise InputError(f"{output} exists already", "Give --output another folder; nothing is ever overwritten.")
    if not output.parent.is_dir():
        raise InputError(f"{output.parent} is not a folder", "Make it, or give --output another place.")
    if not os.access(output.parent, os.W_OK):
        raise InputError(f"{output.parent} is not writable", "Give --output another place.")
    if not output.name.lower().endswith(ending(dataset).lower()):
        raise InputError(
            f"{output} is to be a file like {dataset.name}", f"Give --output a name that ends in {ending(dataset)}."
        )
    if output.is_relative_to(dataset):
        raise InputError(f"{output} lies inside the dataset", "Give --output a place outside it.")
