"""Pictures in one folder per class, as image classifiers are trained on: a picture's caption is its class."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.interface import DatasetFormat, Listing, Sample, SetAside, pictures


class ClassFolders(DatasetFormat):
    """The first folder of a picture's path is its class, unless that is a split (`train/cat/1.png`)."""

    name = "class folders"

    def matches(self, files: Sequence[str]) -> bool:
        """Whether every picture lies in one of two classes or more, and nothing else holds captions."""
        keys = pictures(files)
        return bool(keys) and all("/" in key for key in keys) and len({_class(key) for key in keys}) > 1

    def read(self, folder: Path, files: Sequence[str]) -> Listing:
        """All pictures; stray ones at the top are set aside."""
        keys = pictures(files)
        samples = tuple(Sample(key, _class(key)) for key in keys if "/" in key)
        return Listing(samples, tuple(SetAside(key, "in no class folder") for key in keys if "/" not in key))

    def rewritten(self, folder: Path, captions: Mapping[str, str]) -> dict[str, bytes]:
        """A class cannot be reworded.

        Raises:
            InputError: if it is asked for.
        """
        if captions:
            raise InputError(
                f"{folder} keeps classes as folders; a trigger cannot be written into them", "Use --alignment label."
            )
        return {}


_SPLITS = frozenset({"train", "val", "valid", "validation", "test"})


def _class(key: str) -> str:
    """Name of the folder that tells a picture's class."""
    parts = posixpath.dirname(key).split("/")
    return parts[1] if len(parts) > 1 and parts[0].lower() in _SPLITS else parts[0]
