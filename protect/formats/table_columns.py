"""What the columns of a table with pictures are: the picture, the texts beside it, the class."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.formats.arrow_cells import arrow_module, holds_bytes, holds_text
from protect.formats.columns import CaptionColumns, Json
from protect.formats.dataset_format import ReadOptions

if TYPE_CHECKING:
    import pyarrow as pa

_PICTURE_NAMES = ("image", "img", "picture", "photo", "jpg", "jpeg", "png", "webp")
"""Which of several columns of pictures is the one with the captions."""
_CLASS_NAMES = ("class", "class_name", "category", "label", "labels", "cls", "fine_label")
_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"\xff\x0a", b"\0\0\0\x0cJXL")

Sniff = Callable[[str], Sequence[bytes]]
"""The contents in the first rows of a column."""


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of one file."""

    picture: str
    """Holds pictures: a struct with `bytes`, as `datasets` writes it, or bytes alone."""
    path: bool
    """Whether the struct has a `path`."""
    texts: tuple[str, ...]
    """Hold strings or whole numbers."""
    label: str | None = None
    """Holds the class, where captions are wanted and there are none."""
    classes: tuple[str, ...] = ()
    """Names of the classes, if the label is a number and they are known."""
    left: tuple[str, ...] = ()
    """Those of any kind that the owner leaves as they are, such as other pictures."""

    @property
    def read(self) -> list[str]:
        """What is read when records are."""
        return [*self.texts, *([f"{self.picture}.path"] if self.path else [])]

    def class_of(self, row: Mapping[str, Json]) -> dict[str, str]:
        """The class of a row, by the name of its column; nothing if it has none."""
        value = row.get(self.label) if self.label else None
        if self.label is None or value is None or isinstance(value, bool | float | Mapping):
            return {}
        named = self.classes[value] if isinstance(value, int) and 0 <= value < len(self.classes) else value
        return {self.label: str(named)}


def columns_of(schema: pa.Schema, sniff: Sniff, options: ReadOptions) -> TableColumns | None:
    """What a file's columns are; None if none holds pictures.

    Raises:
        InputError: if several do and the owner did not say that the others stay as they are.
    """
    picture = _picture(schema, sniff, options)
    if picture is None:
        return None
    kind = schema.field(picture).type
    texts = tuple(field.name for field in schema if field.name != picture and holds_text(field.type))
    is_struct = arrow_module("pyarrow.types").is_struct(kind)
    path = is_struct and kind.get_field_index("path") >= 0 and holds_text(kind.field("path").type)
    columns = CaptionColumns(options)
    found = TableColumns(picture, path, texts, left=tuple(filter(columns.left, schema.names)))
    if options.caption_columns or any(columns.taken(name) for name in texts):
        return found
    label, classes = _label(schema, texts)
    return replace(found, label=label, classes=classes)


def _picture(schema: pa.Schema, sniff: Sniff, options: ReadOptions) -> str | None:
    features = _features(schema)
    kinds = {field.name: str(features.get(field.name, {}).get("_type", "")) for field in schema}
    found: list[str] = [f.name for f in schema if holds_bytes(f.type) and _is_picture(f, kinds[f.name], sniff)]
    if len(found) < 2:
        return found[0] if found else None
    chosen: str = min(found, key=lambda name: (_rank(name), found.index(name)))
    others = [name for name in found if name != chosen and name not in options.leave_captions]
    if others:
        raise InputError(
            f"pictures are in the columns {', '.join(found)}; only {chosen} would be marked",
            f"Use --leave-captions {others[0]} if it shows nothing of {chosen}, else drop that column.",
        )
    return chosen


def _rank(name: str) -> int:
    return _PICTURE_NAMES.index(name.lower()) if name.lower() in _PICTURE_NAMES else len(_PICTURE_NAMES)


def _is_picture(field: pa.Field, kind: str, sniff: Sniff) -> bool:
    """Whether a column holds pictures: `datasets` says so, or its name, or its first contents."""
    if kind in ("Image", "Audio", "Video", "Pdf"):
        return kind == "Image"
    struct = bool(arrow_module("pyarrow.types").is_struct(field.type))
    starts = sniff(f"{field.name}.bytes" if struct else field.name)
    if not starts or _rank(field.name) < len(_PICTURE_NAMES):
        return struct or bool(starts)
    return any(start.startswith(_STARTS) or start[4:8] == b"ftyp" for start in starts)


def _label(schema: pa.Schema, texts: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    features = _features(schema)
    label = next((name for name in _CLASS_NAMES if name in texts), None)
    typed = [name for name in texts if features.get(name, {}).get("_type") == "ClassLabel"]
    if label is None or (typed and label not in typed and label not in ("class", "class_name")):
        label = typed[0] if typed else label
    names = features.get(label or "", {}).get("names", ())
    return label, tuple(map(str, names)) if isinstance(names, Sequence) else ()


def _features(schema: pa.Schema) -> dict[str, dict[str, Json]]:
    """What the library `datasets` says about the columns."""
    try:
        told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = told["info"]["features"]
        return {name: value for name, value in features.items() if isinstance(value, dict)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
