"""Arrays that some families need. The keyring keeps them under their SHA-256, so a commitment fixes their bytes."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.files import default_home

FOLDERS = {"pool": "pools", "basis": "bases"}
"""Folder of the keyring by kind."""


def stored_path(kind: str, name: str) -> Path:
    """Where the arrays of that kind and name lie."""
    return default_home() / FOLDERS[kind] / f"{name}.npz"


def stored_name(data: bytes) -> str:
    """Name of the file with these bytes."""
    return hashlib.sha256(data).hexdigest()


def packed(**arrays: NDArray[Any]) -> bytes:
    """Arrays as the bytes of a file to be stored."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def check_name(family: str, kind: str, name: str) -> None:
    """Refuse what cannot be a name.

    Raises:
        InputError: naming the command that makes one.
    """
    if not name:
        raise InputError(
            f"family {family!r} needs a {kind}", f"Make one with protect {kind}; then --option {kind}=NAME."
        )
    if not re.fullmatch("[0-9a-f]{64}", name):
        raise InputError(f"{name!r} is not a {kind}'s name", "A name has 64 hexadecimal digits.")


def read_stored(kind: str, path: Path, *fields: str) -> tuple[NDArray[Any], ...]:
    """The arrays of a stored file.

    Raises:
        InputError: if the file is missing, damaged or lacks one of `fields`.
    """
    try:
        data = path.read_bytes()
        if stored_name(data) != path.stem:
            raise InputError(f"{kind} {path.stem} is damaged", f"Restore {path} from a backup.")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return tuple(file[field] for field in fields)
    except OSError:
        raise InputError(
            f"there is no {kind} {path.stem!r} in {path.parent}", f"Make one with protect {kind}."
        ) from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a {kind} ({error})", f"Make one with protect {kind}.") from None
