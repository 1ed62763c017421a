"""The store: arrays that families need. They are called by their SHA-256, so a commitment fixes their bytes."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.files import private_folder, write_atomic

KINDS = {
    "pool": "pools",
    "basis": "bases",
    "frame": "frames",
    "looks": "looks",
    "wordings": "wordings",
    "shared": "shared",
}
"""Folder by kind of array."""
_MADE_BY = {
    "pool": "Make one: protect pool.",
    "basis": "Make one: protect basis.",
    "frame": "Make one: protect frame.",
    "wordings": "Give the list again: --wordings FILE.",
    "shared": "protect embed --for-recipients keeps it; restore the keyring from a backup.",
    "looks": "protect embed measures them when it makes a release; restore the keyring from a backup.",
}


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of stored arrays; passed to whatever needs it, never found by itself."""

    folder: Path
    _held: dict[tuple[str, str], bytes] = field(default_factory=dict, repr=False, compare=False)
    """What is not written yet, by kind and name."""

    def put(self, kind: str, **arrays: NDArray[Any]) -> str:
        """Keep arrays; returns their name, the SHA-256 of the file."""
        name = self.hold(kind, **arrays)
        self.write_held()
        return name

    def hold(self, kind: str, **arrays: NDArray[Any]) -> str:
        """Keep arrays in memory until `write_held`; returns their name."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        data = buffer.getvalue()
        name = hashlib.sha256(data).hexdigest()
        self._held[kind, name] = data
        return name

    def write_held(self) -> None:
        """Write what is held in memory."""
        for (kind, name), data in self._held.items():
            write_atomic(private_folder(self.folder / KINDS[kind]) / f"{name}.npz", data, mode=0o600)
        self._held.clear()

    def data(self, kind: str, name: str) -> bytes:
        """The file of that kind and name.

        Raises:
            InputError: if there is none, or it is damaged.
        """
        if not re.fullmatch("[0-9a-f]{64}", name):
            advice = f"A name has 64 hex digits. {_MADE_BY[kind]}"
            raise InputError(f"{name!r} is not the name of stored {kind}", advice)
        path = self._path(kind, name)
        try:
            data = self._held.get((kind, name)) or path.read_bytes()
        except OSError:
            raise InputError(f"there is no {kind} {name!r} in {path.parent}", _MADE_BY[kind]) from None
        if hashlib.sha256(data).hexdigest() != name:
            raise InputError(f"{kind} {name} is damaged", f"Restore {path} from a backup.")
        return data

    def get(self, kind: str, name: str, *fields: str) -> tuple[NDArray[Any], ...]:
        """The arrays of that kind and name.

        Raises:
            InputError: if there are none, or they are damaged or lack one of `fields`.
        """
        data = self.data(kind, name)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                return tuple(file[field] for field in fields)
        except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self._path(kind, name)} is not a {kind} ({error})", _MADE_BY[kind]) from None

    def _path(self, kind: str, name: str) -> Path:
        return self.folder / KINDS[kind] / f"{name}.npz"


NO_STORE = Store(Path("no-store"))
"""For families that keep nothing."""
