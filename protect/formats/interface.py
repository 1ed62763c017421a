"""What a dataset format is: how captions lie beside pictures, and how to change some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    def matches(self, folder: Path) -> bool:
        """Whether `folder` keeps its captions this way."""

    @abstractmethod
    def read(self, folder: Path) -> Listing:
        """All samples, in a fixed order.

        Raises:
            InputError: if the captions cannot be read or two samples share a key.
        """

    @abstractmethod
    def rewrite(self, source: Path, target: Path, captions: Mapping[str, str]) -> None:
        """Write into `target` the caption files of `source` with some captions replaced.

        Every byte that does not belong to a replaced caption stays as it is.

        Args:
            source: the dataset.
            target: a copy of it.
            captions: new caption by sample key.
        """


def walk(folder: Path) -> list[Path]:
    """All regular files under `folder`, sorted by their relative path."""
    return sorted(p for p in folder.rglob("*") if p.is_file())


def pictures(folder: Path) -> list[str]:
    """Keys of all pictures under `folder`, sorted."""
    return [p.relative_to(folder).as_posix() for p in walk(folder) if p.suffix.lower() in PICTURE_SUFFIXES]
