"""Captions as COCO keeps them: `annotations/captions_train2017.json` with images and annotations, pictures beside."""

from __future__ import annotations

import hashlib
import mmap
import posixpath
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import numpy as np

from protect.errors import InputError
from protect.formats.caption_table import CaptionTable, Change, Row, TableDataset
from protect.formats.columns import Json
from protect.formats.dataset_format import DatasetFormat, ReadOptions
from protect.formats.folder import FolderDataset, is_picture, without_traces
from protect.formats.json_arrays import elements
from protect.formats.json_text import parsed, spliced
from protect.formats.walk import Names, names_of, stem

_IMAGES, _ANNOTATIONS = "images", "annotations"
_SIGNS = (b'"images"', b'"annotations"', b'"caption"', b'"image_id"')
_COPIED = 1 << 20


class CocoTable(CaptionTable):
    """A row for every image, with its annotations in a list; two passes over the file, which is never held."""

    counted = "image"

    def __init__(self, root: Path, name: str, pictures: Names) -> None:
        super().__init__(root, name)
        self._pictures = pictures
        self._last = ""

    def key(self, file_name: str) -> str:
        """Where the picture lies: in a folder beside the table, or beside the table's own folder."""
        for folder in (self._last, *self._folders):
            path = posixpath.normpath(posixpath.join(folder, file_name))
            if self._pictures.find(path) is not None:
                self._last = folder
                return path
        return super().key(file_name)

    def rows(self) -> Iterator[Row]:
        """All images in order."""
        with self._mapped() as data:
            for row, *_ in self._images(data):
                yield row

    def rewrite(self, target: Path, change: Change) -> bool:
        """Replace only the changed values inside their objects."""
        new: list[tuple[int, int, bytes]] = []
        with self._mapped() as data, target.open("wb") as out:
            for row, image, places in self._images(data):
                changes = change(row)
                for i, (start, end) in enumerate(places):
                    new += _edit(data, start, end, changes, f"{_ANNOTATIONS}[{i}].")
                own = {field: value for field, value in changes.items() if not field.startswith(f"{_ANNOTATIONS}[")}
                new += _edit(data, *image, own, "")
            last = 0
            for start, end, content in sorted(new):
                _copy(data, last, start, out.write)
                out.write(content)
                last = end
            _copy(data, last, len(data), out.write)
        return bool(new)

    def _images(self, data: mmap.mmap) -> Iterator[tuple[Row, tuple[int, int], list[tuple[int, int]]]]:
        """Row, place of the image's object, places of its annotations' objects."""
        ids, starts, ends = self._index
        taken = bytearray(len(ids))
        for number, (_, start, end) in enumerate(elements(data, _IMAGES), 1):
            image = self._object(data, start, end)
            wanted = _number(image.get("id"))
            first, last = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
            if first < last and taken[first]:  # what changes for one would change for the other
                raise InputError(
                    f"{self.path} has two images with the id {str(image.get('id'))[:40]}, and captions for it",
                    "Give every image an id of its own.",
                )
            taken[first:last] = b"\1" * (last - first)
            places = [(int(starts[i]), int(ends[i])) for i in range(first, last)]
            annotations: list[Json] = [self._object(data, *place) for place in places]
            yield Row(number, {**image, _ANNOTATIONS: annotations}), (start, end), places

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number of the image, start and end of every annotation; by image, and in the file's order for each."""
        ids, starts, ends = array("q"), array("q"), array("q")
        with self._mapped() as data:
            for _, start, end in elements(data, _ANNOTATIONS):
                ids.append(_number(self._object(data, start, end).get("image_id")))
                starts.append(start)
                ends.append(end)
        order = np.argsort(np.asarray(ids), kind="stable")
        return np.asarray(ids)[order], np.asarray(starts)[order], np.asarray(ends)[order]

    def _object(self, data: mmap.mmap, start: int, end: int) -> Mapping[str, Json]:
        value = parsed(data[start:end].decode())
        assert isinstance(value, Mapping)  # `elements` yields what stands in braces
        return value

    @contextmanager
    def _mapped(self) -> Iterator[mmap.mmap]:
        try:
            with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                yield data
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path} cannot be read as JSON ({str(error)[:80]})", "Mend the file.") from None

    @cached_property
    def _folders(self) -> list[str]:
        """Folders of pictures, those first whose name is part of the table's."""
        folders = {posixpath.dirname(path) for path in self._pictures if is_picture(path)}
        return sorted(folders, key=lambda folder: (posixpath.basename(folder) not in self.name, folder))


def _number(value: Json) -> int:
    """A number of 64 bits for an image's id, whatever its type; unlike Python's own the same in every process."""
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    data = str(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def _edit(
    data: mmap.mmap, start: int, end: int, changes: Mapping[str, str | int], prefix: str
) -> Iterator[tuple[int, int, bytes]]:
    own = {field[len(prefix) :]: value for field, value in changes.items() if field.startswith(prefix)}
    if own:
        yield start, end, spliced(data[start:end].decode(), own).encode()


def _copy(data: mmap.mmap, start: int, end: int, write: object) -> None:
    assert callable(write)
    for at in range(start, end, _COPIED):
        write(data[at : min(at + _COPIED, end)])


class Coco(DatasetFormat):
    """Every caption of a picture is a field: `annotations[0].caption`."""

    name = "COCO captions"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether a JSON file has images and captions that belong to them."""
        return bool(_tables(root, files))

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> FolderDataset:
        """Look at the first images of every table."""
        found = _tables(root, files)
        pictures = without_traces(names_of(files), found)
        tables = [CocoTable(root, name, pictures) for name in found]
        return TableDataset.of(self.name, root, pictures, options, tables)


def _tables(root: Path, files: Sequence[str]) -> list[str]:
    beside = {stem(name) for name in files if is_picture(name)} if any(name.endswith(".json") for name in files) else ()
    return [name for name in files if name.endswith(".json") and stem(name) not in beside and _is_coco(root / name)]


def _is_coco(path: Path) -> bool:
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return all(data.find(sign) >= 0 for sign in _SIGNS)
