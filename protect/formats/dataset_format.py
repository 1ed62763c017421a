"""What a dataset format is: how to find its shards, read their records, and write them again with some changed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from protect.formats.record import TRAIN, LeftOut, Record, SetAside

if TYPE_CHECKING:
    from protect.formats.columns import CaptionColumns


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the owner says about a dataset. Part of no mark."""

    caption_columns: tuple[str, ...] = ()
    """Columns that hold captions; empty for those with usual names."""
    leave_captions: tuple[str, ...] = ()
    """Fields that hold captions and stay as they are although the carriers' others change."""
    only: tuple[str, ...] = ()
    """Globs on keys: only these samples may be changed; empty for all."""
    exclude: tuple[str, ...] = ()
    """Globs on keys: these samples are never changed. They are part of the copy all the same."""
    splits: tuple[str, ...] = (TRAIN,)
    """Splits whose samples may be changed; "all" for every one."""


AS_IT_IS = ReadOptions()
"""Nothing said."""


CHANGED = "changed since it was read"
"""What is said of a shard that did."""


class Edits(Protocol):
    """What changes in a copy. Asked once for every sample of a shard, from any thread."""

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        """The captions as released, by the same fields; the same mapping for a sample that does not change."""
        ...

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        """The picture file as released; None for a sample whose picture does not change."""
        ...


class Shard(ABC):
    """A part of a dataset that is read and written as a whole: an archive, a table, a run of a folder's files."""

    name: str
    """Unique in the dataset and the same in every run: done-markers are called by it."""
    size: int
    """Bytes to be copied."""
    scanning: float = 0.0
    """Seconds that a scan takes, roughly; 0 if it yields nothing."""

    @abstractmethod
    def scan(self) -> Iterator[Record | SetAside]:
        """All records of the shard in a fixed order, in bounded memory, without decoding any picture.

        What cannot take part is yielded as `SetAside`; a shard that cannot be read whole yields nothing else.
        A shard of pictures whose captions are kept in another shard yields nothing.

        Raises:
            InputError: if the owner must mend or say something first (see `Dataset`).
        """

    @abstractmethod
    def write(self, target: Path, edits: Edits, *, link: bool = False) -> None:
        """Write this shard under the folder `target`, which holds the copy so far.

        Every byte that belongs to no changed sample stays as it is, and so do names, order, permissions and times. A
        shard that an earlier, killed run began is written anew. Files appear with their final content only.

        Args:
            target: folder of the unfinished copy; subfolders are made as needed.
            edits: says what changes.
            link: hard-link files that do not change, where the file system allows it.

        Raises:
            OSError: if it cannot be written, or read.
        """

    def changed(self) -> bool:
        """Whether its files are not those any more that were there when the dataset was opened."""
        return False

    def is_there(self, target: Path) -> bool:
        """Whether what `write` wrote is still there, where `Dataset.finish` may have taken it away."""
        return True


class Dataset(ABC):
    """An opened dataset. Opening reads names and headers, not captions or pictures."""

    format: str
    """Name for people, such as "webdataset"."""
    root: Path
    options: ReadOptions
    for_classifiers: bool = False
    """Whether captions are class names that stand in no text."""
    columns: CaptionColumns | None = None
    """The fields of text that were met since it was opened; None where captions stand in no text."""

    @property
    @abstractmethod
    def shards(self) -> Sequence[Shard]:
        """All shards in a fixed order."""

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """Files that the copy will lack, with the reason."""
        return ()

    def scan(self) -> Iterator[Record | SetAside]:
        """All records of all shards; may be called again and gives the same."""
        for shard in self.shards:
            yield from shard.scan()

    def unlisted(self, keys: NDArray[np.uint64]) -> Iterator[SetAside]:
        """What `scan` yields besides what its shards do.

        Args:
            keys: hashes (`key_hash`) of all that the shards yielded, in ascending order.
        """
        return iter(())

    def finish(self, target: Path) -> None:
        """Put together what several shards have written in part, once all are written."""
        return None

    def records(self) -> Iterator[Record]:
        """The records alone."""
        return (found for found in self.scan() if isinstance(found, Record))

    @property
    def size(self) -> int:
        """Bytes to be copied."""
        return sum(shard.size for shard in self.shards)


class DatasetFormat(ABC):
    """A way of keeping captions with pictures; one file each."""

    name: str

    @abstractmethod
    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether a dataset looks like this format.

        Args:
            root: the dataset's folder, or its only file.
            files: paths inside it (`protect.formats.walk.walk`); [root.name] for a file.
        """

    @abstractmethod
    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> Dataset:
        """The dataset.

        Raises:
            InputError: in two lines, if it cannot be used: a caption column that does not exist (naming those that do),
                links out of the dataset, a damaged table; or if captions would be left alone silently.
        """
