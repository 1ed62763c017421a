"""Pictures with a `.txt` file of the same stem beside each (Kohya, webdataset unpacked, many others)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from protect.errors import InputError
from protect.formats.interface import DatasetFormat, Listing, Sample, SetAside, pictures, write_like


class Sidecar(DatasetFormat):
    """Captions in `.txt` sidecars."""

    name = "sidecar"

    def matches(self, folder: Path) -> bool:
        """Whether any `.txt` file has the stem of a picture."""
        return any((folder / key).with_suffix(".txt").is_file() for key in pictures(folder))

    def read(self, folder: Path) -> Listing:
        """All pictures with a readable, non-empty sidecar."""
        keys = pictures(folder)
        doubled = [stem for stem, n in Counter(str(PurePosixPath(k).with_suffix("")) for k in keys).items() if n > 1]
        if doubled:
            raise InputError(
                f"{folder}: two pictures share the caption file {doubled[0]}.txt",
                "Give every picture its own stem.",
            )
        samples, set_aside = [], []
        for key in keys:
            try:
                caption = (folder / key).with_suffix(".txt").read_text(encoding="utf-8-sig").strip()
            except FileNotFoundError:
                set_aside.append(SetAside(key, "no caption"))
            except (OSError, UnicodeDecodeError):
                set_aside.append(SetAside(key, "caption is not readable UTF-8"))
            else:
                samples.append(Sample(key, caption)) if caption else set_aside.append(SetAside(key, "empty caption"))
        return Listing(tuple(samples), tuple(set_aside))

    def rewrite(self, source: Path, target: Path, captions: Mapping[str, str]) -> None:
        """Replace the text between the surrounding white space of each sidecar."""
        for key, caption in captions.items():
            path = (source / key).with_suffix(".txt")
            old = path.read_bytes()
            body = old.decode("utf-8-sig").strip().encode()
            write_like(path, target / path.relative_to(source), old.replace(body, caption.encode(), 1))
