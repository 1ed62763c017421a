"""What a dataset format is: how captions lie beside pictures, and how to change some of them."""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from protect.errors import InputError
from protect.files import dress

PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture with its caption."""

    key: str
    """Stable name: the picture's path inside the dataset, with forward slashes."""
    caption: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """A sample that takes no part, and why; it is copied unchanged."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """What a dataset folder holds."""

    samples: tuple[Sample, ...]
    set_aside: tuple[SetAside, ...]


class DatasetFormat(ABC):
    """One way of keeping captions with pictures."""

    name: str

    @abstractmethod
    def matches(self, files: Sequence[str]) -> bool:
        """Whether a folder with these files keeps its captions this way."""

    @abstractmethod
    def read(self, folder: Path, files: Sequence[str]) -> Listing:
        """All samples, in a fixed order.

        Args:
            folder: the dataset.
            files: what `walk` found in it.

        Raises:
            InputError: if the captions cannot be read or two samples share a key.
        """

    @abstractmethod
    def rewritten(self, folder: Path, captions: Mapping[str, str]) -> dict[str, bytes]:
        """The caption files with some captions replaced; every byte that belongs to no such caption stays as it is.

        Args:
            folder: the dataset.
            captions: new caption by sample key.

        Returns:
            New content by path inside the folder.

        Raises:
            InputError: if a caption cannot be told from its surroundings.
        """


def write_like(source: Path, target: Path, data: bytes) -> None:
    """Write `data` with the permissions and times of `source`: changed files must not stand out.

    In place and not by renaming, which would move a file behind its neighbours in an archive. For unfinished
    copies only: times are set last, so a file that was cut short is written again.
    """
    target.write_bytes(data)
    dress(target, source.stat())


def walk(folder: Path, prefix: str = "") -> list[str]:
    """All regular files under `folder`, sorted, as paths inside it with forward slashes.

    Raises:
        InputError: at a symbolic link, or a name that is not valid text.
    """
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise InputError(
                    f"{entry.path} is a symbolic link", "Replace it by what it points to, or move it away."
                )
            if any("\ud800" <= c <= "\udfff" for c in entry.name):
                raise InputError(f"{entry.path!r} is not a valid UTF-8 file name", "Rename it.")
            if entry.is_dir():
                files += walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file():
                files.append(prefix + entry.name)
    return sorted(files)


def pictures(files: Sequence[str]) -> list[str]:
    """The pictures among `files`."""
    return [key for key in files if posixpath.splitext(key)[1].lower() in PICTURE_SUFFIXES]
