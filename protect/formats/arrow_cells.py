"""Cells of Arrow tables: which columns hold text, and columns with some cells replaced."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from protect.errors import InputError
from protect.formats.columns import Json

if TYPE_CHECKING:
    import pyarrow as pa

Cell = object
"""A Python value that Arrow can store in a column."""


def arrow_module(name: str = "pyarrow") -> ModuleType:
    """A module of pyarrow.

    Raises:
        InputError: if pyarrow is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise InputError("this dataset needs pyarrow", 'Install it: pip install "tracemark[parquet]"') from None


def holds_text(kind: pa.DataType) -> bool:
    """Whether values of a type hold strings or whole numbers, and nothing large."""
    types = arrow_module("pyarrow.types")
    if types.is_dictionary(kind):
        return holds_text(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_string(kind.value_type) or (types.is_struct(kind.value_type) and holds_text(kind.value_type))
    if types.is_struct(kind):
        return all(not _is_binary(field.type) for field in kind) and any(holds_text(field.type) for field in kind)
    return _is_string(kind) or bool(types.is_integer(kind))


def _is_string(kind: pa.DataType) -> bool:
    types = arrow_module("pyarrow.types")
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    types = arrow_module("pyarrow.types")
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def with_cells(batch: pa.RecordBatch, changes: Mapping[int, Mapping[str, Cell]]) -> pa.RecordBatch:
    """A record batch with some cells replaced; all others stay, missing ones too.

    Args:
        batch: the batch.
        changes: new cells by row and column; bytes in a struct are its new `bytes`, all else in it stays.
    """
    pa = arrow_module()
    columns = list(batch.columns)
    for index, name in enumerate(batch.schema.names):
        cells = {row: named[name] for row, named in sorted(changes.items()) if name in named}
        if cells:
            columns[index] = _spliced(columns[index], cells)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _spliced(column: pa.Array, cells: Mapping[int, Cell]) -> pa.Array:
    pa = arrow_module()
    struct = arrow_module("pyarrow.types").is_struct(column.type)
    pieces, last = [], 0
    for row, cell in cells.items():
        new = {**column[row].as_py(), "bytes": cell} if struct and isinstance(cell, bytes) else cell
        pieces += [column[last:row], pa.array([new], type=column.type)]
        last = row + 1
    return pa.concat_arrays([piece for piece in (*pieces, column[last:]) if len(piece)])


def with_fields(value: Json, changes: Mapping[str, str | int], field: str) -> Json:
    """A cell with some of its strings and numbers replaced.

    Args:
        value: the cell.
        changes: new values by field (see `protect.formats.columns.leaves`).
        field: name of the cell's column.

    >>> with_fields(["a", "b"], {"texts[1]": "c"}, "texts")
    ['a', 'c']
    """
    if isinstance(value, str | int):
        return changes.get(field, value)
    if isinstance(value, Mapping):
        return {name: with_fields(inner, changes, f"{field}.{name}") for name, inner in value.items()}
    if isinstance(value, Sequence):
        return [with_fields(inner, changes, f"{field}[{i}]") for i, inner in enumerate(value)]
    return value


def changed_cells(row: Mapping[str, Json], changes: Mapping[str, str | int]) -> dict[str, Cell]:
    """The cells of a row in which a field changes, by column."""
    return {
        name: with_fields(cell, changes, name)
        for name, cell in row.items()
        if any(field == name or field.startswith((f"{name}.", f"{name}[")) for field in changes)
    }


def checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """A record batch of which all parts are where they should be: only then it is safe to look at its values.

    Raises:
        ValueError: if they are not.
    """
    batch.validate(full=True)
    return batch


def first_line(error: BaseException) -> str:
    """A reason in few words."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def offsets(batches: Iterator[pa.RecordBatch], start: int = 0) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Batches, each with the number of rows before it."""
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes, or a struct with `bytes`."""
    if arrow_module("pyarrow.types").is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _is_binary(kind.field("bytes").type)
    return _is_binary(kind)
