"""Parquet files, row group by row group: read in small pieces, and written again the way they were written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from protect.buckets import BucketPath
from protect.formats.arrow_cells import arrow_module

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

PIECE = 32 << 20
"""Bytes that are read at a time, unless a single row is larger."""
MOST_ROWS = 2000
"""Rows of which some columns are read at a time."""
_CHUNKING = b"content_defined_chunking"
_OWN_KEY = b"ARROW:schema"
_DICTIONARIES = frozenset({"RLE_DICTIONARY", "PLAIN_DICTIONARY"})
_USUAL_ENCODINGS = _DICTIONARIES | {"PLAIN", "RLE", "BIT_PACKED"}

Writer = Callable[[Iterable["pa.RecordBatch"]], None]
"""Writes record batches as one row group."""


class StyleError(ValueError):
    """A parquet file that pyarrow would write with other types."""


def opened(path: Path) -> pq.ParquetFile:
    """A file; to be used by one thread.

    Raises:
        OSError, ValueError: if its end cannot be read: cut short or no parquet file.
    """
    parquet = arrow_module("pyarrow.parquet")
    # Streams of 1 MiB: otherwise a whole column of a row group would be read at once.
    source = path.random() if isinstance(path, BucketPath) else path
    return parquet.ParquetFile(source, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True)


def pieces(file: pq.ParquetFile, group: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a row group in pieces of at most about 32 MiB.

    Args:
        file: the file.
        group: number of the row group.
        columns: columns to read, `image.path` for a part of one; all if not given.

    Raises:
        OSError, ValueError: if a page is damaged.
    """
    facts = file.metadata.row_group(group)
    most = facts.num_rows if columns is None else MOST_ROWS
    rows = max(1, min(most, facts.num_rows * PIECE // max(facts.total_byte_size, 1)))
    return iter(file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False))


def style(file: pq.ParquetFile) -> dict[str, object]:
    """Options with which pyarrow writes a file like this one.

    Kept: types, metadata, row groups, each column's compression method and kind of encoding, page index, statistics.
    Not kept, because a file does not tell it or pyarrow cannot say it: level of compression, size of pages, Bloom
    filters, the name of the program that wrote it.

    Raises:
        StyleError: if the copy would have columns of other types.
    """
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    columns = [group.column(i) for group in groups[:1] for i in range(group.num_columns)]
    encodings = {column.path_in_schema: set(column.encodings) for column in columns}
    chunking = (file.metadata.metadata or {}).get(_CHUNKING)
    options: dict[str, object] = {
        "version": file.metadata.format_version if file.metadata.format_version in ("1.0", "2.4", "2.6") else "2.6",
        "compression": {column.path_in_schema: _codec(column.compression) for column in columns} or "NONE",
        "use_dictionary": [path for path, used in encodings.items() if used & _DICTIONARIES],
        "column_encoding": {
            path: min(used - _USUAL_ENCODINGS)
            for path, used in encodings.items()
            if not used & _DICTIONARIES and used - _USUAL_ENCODINGS
        }
        or None,
        "write_statistics": [column.path_in_schema for column in columns if column.is_stats_set],
        "write_page_index": any(column.has_column_index for column in columns),
        "store_schema": _OWN_KEY in (file.metadata.metadata or {}),
        "use_deprecated_int96_timestamps": any(column.physical_type == "INT96" for column in columns),
        "use_content_defined_chunking": json.loads(chunking) if chunking else False,
        "sorting_columns": (groups[0].sorting_columns or None) if groups else None,
    }
    for nested in (True, False):
        if _same_types(file, options | {"use_compliant_nested_type": nested}):
            return options | {"use_compliant_nested_type": nested}
    raise StyleError("pyarrow would write its columns with other types")


def _codec(name: str) -> str:
    return "NONE" if name == "UNCOMPRESSED" else name


def _same_types(file: pq.ParquetFile, options: Mapping[str, object]) -> bool:
    pa, parquet = arrow_module(), arrow_module("pyarrow.parquet")
    sink = pa.BufferOutputStream()
    parquet.ParquetWriter(sink, file.schema_arrow, **options).close()
    return bool(parquet.ParquetFile(pa.BufferReader(sink.getvalue())).schema.equals(file.schema))


@contextmanager
def rewriting(file: pq.ParquetFile, target: Path) -> Iterator[Writer]:
    """Write a file like another one.

    Args:
        file: the other one; its metadata is taken over.
        target: path of the new file.

    Returns:
        What writes row groups; each call makes one, and holds it in memory.
    """
    arrow, parquet = arrow_module(), arrow_module("pyarrow.parquet")
    schema = file.schema_arrow
    with parquet.ParquetWriter(target, schema, **style(file)) as writer:

        def write(batches: Iterable[pa.RecordBatch]) -> None:
            table = arrow.Table.from_batches(batches, schema)
            writer.write_table(table, row_group_size=max(1, table.num_rows))

        yield write
        known = {*(schema.metadata or {}), _OWN_KEY}
        more = {key: value for key, value in (file.metadata.metadata or {}).items() if key not in known}
        if more:
            writer.add_key_value_metadata(more)
