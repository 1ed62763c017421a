"""Pictures with a `.txt` file of the same stem beside each (Kohya, webdataset unpacked, many others)."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.dataset_format import DatasetFormat, Listing, Sample, SetAside, pictures


def _sidecar(key: str) -> str:
    return posixpath.splitext(key)[0] + ".txt"


class Sidecar(DatasetFormat):
    """Captions in `.txt` sidecars."""

    name = "sidecar"

    def matches(self, files: Sequence[str]) -> bool:
        """Whether any `.txt` file has the stem of a picture."""
        present = set(files)
        return any(_sidecar(key) in present for key in pictures(files))

    def read(self, folder: Path, files: Sequence[str]) -> Listing:
        """All pictures with a readable, non-empty sidecar."""
        keys = pictures(files)
        doubled = [stem for stem, n in Counter(_sidecar(k) for k in keys).items() if n > 1]
        if doubled:
            raise InputError(
                f"{folder}: two pictures share the caption file {doubled[0]}",
                "Give every picture its own stem.",
            )
        samples, set_aside = [], []
        for key in keys:
            try:
                caption = (folder / _sidecar(key)).read_text(encoding="utf-8-sig").strip()
            except FileNotFoundError:
                set_aside.append(SetAside(key, "no caption"))
            except (OSError, UnicodeDecodeError):
                set_aside.append(SetAside(key, "caption is not readable UTF-8"))
            else:
                samples.append(Sample(key, caption)) if caption else set_aside.append(SetAside(key, "empty caption"))
        return Listing(tuple(samples), tuple(set_aside))

    def rewritten(self, folder: Path, captions: Mapping[str, str]) -> dict[str, bytes]:
        """Replace the text between the surrounding white space of each sidecar."""
        return {_sidecar(key): _with_text((folder / _sidecar(key)).read_bytes(), new) for key, new in captions.items()}


def _with_text(old: bytes, caption: str) -> bytes:
    body = old.decode("utf-8-sig").strip().encode()
    return old.replace(body, caption.encode(), 1)
