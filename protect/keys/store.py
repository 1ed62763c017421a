"""The store: arrays that families need. They are called by their SHA-256, so a commitment fixes their bytes."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.files import private_folder, write_atomic

KINDS = {"pool": "pools", "basis": "bases"}
"""Folder by kind of array."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of stored arrays; passed to whatever needs it, never found by itself."""

    folder: Path

    def put(self, kind: str, **arrays: NDArray[Any]) -> str:
        """Keep arrays; returns their name, the SHA-256 of the file."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        data = buffer.getvalue()
        name = hashlib.sha256(data).hexdigest()
        write_atomic(private_folder(self.folder / KINDS[kind]) / f"{name}.npz", data, mode=0o600)
        return name

    def get(self, kind: str, name: str, *fields: str) -> tuple[NDArray[Any], ...]:
        """The arrays of that kind and name.

        Raises:
            InputError: if there are none, or they are damaged or lack one of `fields`.
        """
        if not re.fullmatch("[0-9a-f]{64}", name):
            raise InputError(f"{name!r} is not a {kind}'s name", f"A name has 64 hex digits; make one: protect {kind}.")
        path = self.folder / KINDS[kind] / f"{name}.npz"
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != name:
                raise InputError(f"{kind} {name} is damaged", f"Restore {path} from a backup.")
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return tuple(file[field] for field in fields)
        except OSError:
            raise InputError(f"there is no {kind} {name!r} in {path.parent}", f"Make one: protect {kind}.") from None
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a {kind} ({error})", f"Make one: protect {kind}.") from None


NO_STORE = Store(Path("no-store"))
"""For families that keep nothing."""
