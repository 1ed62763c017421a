"""Pictures listed in tables such as `metadata.jsonl`, as the `imagefolder` of the library `datasets` reads them."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.caption_table import LOOKED_AT, CaptionTable, TableDataset
from protect.formats.columns import CaptionColumns
from protect.formats.csv_text import CsvTable
from protect.formats.dataset_format import AS_IT_IS, DatasetFormat, ReadOptions
from protect.formats.folder import FolderDataset, is_picture, without_traces
from protect.formats.jsonl import JsonLines
from protect.formats.walk import names_of

_TABLE = re.compile(r"metadata([-_. ].*)?\.(jsonl|csv|parquet)")


def is_table(name: str) -> bool:
    """Whether a file is a table of captions by its name: `metadata.jsonl`, `metadata_train.csv`, `metadata.parquet`."""
    return "metadata" in name and bool(_TABLE.fullmatch(posixpath.basename(name)))


def table_of(root: Path, name: str) -> CaptionTable | None:
    """The table that a file is by its name; None if it is none."""
    if not is_table(name):
        return None
    if name.endswith(".parquet"):
        from protect.formats.metadata_parquet import ParquetTable

        return ParquetTable(root, name)
    return JsonLines(root, name) if name.endswith(".jsonl") else CsvTable(root, name)


class ImageFolder(DatasetFormat):
    """`metadata.jsonl`, `metadata.csv` or `metadata.parquet`, in any folder, for any split."""

    name = "imagefolder"

    def matches(self, root: Path, files: Sequence[str]) -> bool:
        """Whether there is a picture, and such a table with a column that holds captions by its name."""
        columns = CaptionColumns(AS_IT_IS)
        tables = (table for name in files if (table := table_of(root, name)))
        rows = (row.values for table in tables for row in itertools.islice(table.rows(), LOOKED_AT))
        return any(map(is_picture, files)) and any(columns.captions(row) for row in rows)

    def open(self, root: Path, files: Sequence[str], options: ReadOptions) -> FolderDataset:
        """Look at the first rows of every table."""
        tables = [table for name in files if (table := table_of(root, name))]
        _refuse_twins(tables)
        pictures = without_traces(names_of(files), (table.name for table in tables))
        return TableDataset.of(self.name, root, pictures, options, tables)


def _refuse_twins(tables: Sequence[CaptionTable]) -> None:
    """Two tables of one name in one folder: trainers read either, and only one would be right."""
    first: dict[str, str] = {}
    for table in tables:
        other = first.setdefault(posixpath.splitext(table.name)[0], table.name)
        if other != table.name:
            raise InputError(f"captions are kept in {other} and in {table.name}", "Keep one of them in the dataset.")
