"""Pictures in one folder per class, as image classifiers are trained on: a picture's caption is its class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from protect.errors import InputError
from protect.formats.dataset_format import DatasetFormat, Edits, ReadOptions
from protect.formats.folder import FileRun, FolderDataset, is_picture, without_traces
from protect.formats.record import Record, SetAside
from protect.formats.splits import is_split_folder, split_of
from protect.formats.walk import Names, names_of

FIELD = "class"


class ClassRun(FileRun):
    """Pictures of some classes."""

    def __init__(self, outer: int, root: Path, names: Names, run: range, name: str, size: int) -> None:
        super().__init__(root, names, run, name, size)
        self.scanning = 5e-6 * len(run)
        self._outer = outer

    def scan(self) -> Iterator[Record | SetAside]:
        """A record for every picture."""
        for path in filter(is_picture, (self.names[i] for i in self.run)):
            if path in self.names.links:
                yield SetAside(path, f"the same file as {self.names.links[path]}")
            else:
                yield Record(path, {FIELD: class_of(path, self._outer)}, self.reader(path), split_of(path), path)

    def picture(self, path: str, edits: Edits) -> bytes | None:
        """The picture as released.

        Raises:
            InputError: if its class is to change: it is a folder's name.
        """
        captions = {FIELD: class_of(path, self._outer)}
        if edits.captions(path, captions) != captions:
            raise InputError(
                f"{self.root} keeps classes as folders; a trigger cannot be written into them", "Use --alignment label."
            )
        return super().picture(path, edits)


class ClassFolders(DatasetFormat):
    """The first folder of a picture's path that is no split is its class: `train/cat/1.png`."""

    name = "class folders"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether every picture lies in one of two classes or more; splits alone are none."""
        outer = _common(filter(is_picture, files))
        classes = {class_of(name, outer) for name in files if is_picture(name)}
        return len(classes) > 1 and "" not in classes

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> FolderDataset:
        """Nothing to look at."""
        names = without_traces(names_of(files))
        run = partial(ClassRun, _common(filter(is_picture, names)))
        dataset = FolderDataset(self.name, root, names, options, run=run)
        dataset.for_classifiers = True
        return dataset


def class_of(path: str, outer: int = 0) -> str:
    """Name of the folder that tells a picture's class: the first after a split, else the first; empty if there is none.

    Args:
        path: of the picture.
        outer: how many folders all pictures have in common; they are no classes.

    >>> class_of("data/train/cat/1.png"), class_of("cat/a/1.png"), class_of("train/1.png"), class_of("all/cat/1.png", 1)
    ('cat', 'cat', '', 'cat')
    """
    folders = path.split("/")[:-1]
    splits = [i + 1 for i, name in enumerate(folders) if is_split_folder(name)]
    inner = folders[splits[0] if splits else outer :]
    return inner[0] if inner else ""


def _common(paths: Iterable[str]) -> int:
    """How many folders all paths begin with alike."""
    common: list[str] | None = None
    for path in paths:
        folders = path.split("/")[:-1]
        if common is None:
            common = folders
        elif folders[: len(common)] != common:
            alike = [ours == theirs for ours, theirs in zip(common, folders, strict=False)]
            common = common[: alike.index(False) if False in alike else len(alike)]
    return len(common or ())
