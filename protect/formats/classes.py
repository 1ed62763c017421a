"""Pictures in one folder per class, as image classifiers are trained on: a picture's caption is its class."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.dataset_format import DatasetFormat, Listing, Sample, pictures


class ClassFolders(DatasetFormat):
    """The first folder of a picture's path is its class, unless that is a split (`train/cat/1.png`)."""

    name = "class folders"

    def matches(self, files: Sequence[str]) -> bool:
        """Whether every picture lies in one of two classes or more; splits alone are none."""
        classes = {_class(key) for key in pictures(files)}
        return len(classes) > 1 and "" not in classes

    def read(self, folder: Path, files: Sequence[str]) -> Listing:
        """All pictures."""
        return Listing(tuple(Sample(key, _class(key)) for key in pictures(files)), ())

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
    """Name of the folder that tells a picture's class; empty if there is none."""
    parts = [part for part in posixpath.dirname(key).split("/") if part]
    inner = parts[1:] if parts and parts[0].lower() in _SPLITS else parts
    return inner[0] if inner else ""
