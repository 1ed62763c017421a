"""Pictures listed in `metadata.jsonl` or `metadata.csv`, as Hugging Face's `imagefolder` reads them."""

from __future__ import annotations

import codecs
import csv
import io
import json
import posixpath
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protect.errors import InputError
from protect.formats.dataset_format import DatasetFormat, Listing, Sample, SetAside, pictures, walk

CAPTION_COLUMNS = ("text", "caption", "prompt")


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a metadata file."""

    key: str
    column: str | None
    caption: str | None


class _Metadata(DatasetFormat):
    filename: str

    @abstractmethod
    def rows(self, path: Path, prefix: str) -> list[Row | None]:
        """One row per record of the file; None for a blank line."""

    @abstractmethod
    def replaced(self, path: Path, prefix: str, captions: Mapping[str, str]) -> bytes:
        """The file's bytes with captions replaced."""

    def _prefixes(self, files: Sequence[str]) -> list[str]:
        """Folders that hold a metadata file, each "" or ending in a slash."""
        return [f.removesuffix(self.filename) for f in files if f.rpartition("/")[2] == self.filename]

    def matches(self, files: Sequence[str]) -> bool:
        """Whether the metadata file lies in the folder or below."""
        return bool(self._prefixes(files))

    def read(self, folder: Path, files: Sequence[str]) -> Listing:
        """All listed pictures, in the order of the metadata file."""
        present = set(pictures(files))
        seen: set[str] = set()
        samples: list[Sample] = []
        set_aside: list[SetAside] = []
        for prefix in self._prefixes(files):
            path = folder / prefix / self.filename
            for row in filter(None, self.rows(path, prefix)):
                if row.key in seen:
                    raise InputError(f"{path}: {row.key!r} is listed twice", "Remove one of the two rows.")
                seen.add(row.key)
                reason = _problem(row, present)
                if reason:
                    set_aside.append(SetAside(row.key, reason))
                else:
                    samples.append(Sample(row.key, str(row.caption).strip()))
        set_aside += [SetAside(key, "no caption") for key in sorted(present - seen)]
        return Listing(tuple(samples), tuple(set_aside))

    def rewritten(self, folder: Path, captions: Mapping[str, str]) -> dict[str, bytes]:
        """Rewrite the rows of changed captions only."""
        new = {}
        for prefix in self._prefixes(walk(folder)) if captions else []:
            path = folder / prefix / self.filename
            start = codecs.BOM_UTF8 if path.read_bytes().startswith(codecs.BOM_UTF8) else b""
            new[prefix + self.filename] = start + self.replaced(path, prefix, captions)
        return new


def _problem(row: Row, present: set[str]) -> str | None:
    if row.key not in present:
        return "caption for an absent or unknown picture file"
    if row.caption and any("\ud800" <= c <= "\udfff" for c in row.caption):
        return "caption is not valid Unicode"
    if row.column is None:
        return f"no caption column (looked for {', '.join(CAPTION_COLUMNS)})"
    return None if row.caption and row.caption.strip() else "empty caption"


def _row(record: Mapping[str, Any], prefix: str, path: Path, number: int) -> Row:
    name = record.get("file_name")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}, record {number}: no file_name", 'Every record needs "file_name" and "text".')
    key = prefix + name
    tidy = posixpath.normpath(key)
    if tidy.startswith(("/", "../")) or tidy == "..":
        raise InputError(f"{path}, record {number}: {name!r} leaves the dataset", "Use paths inside the folder.")
    column = next((c for c in CAPTION_COLUMNS if isinstance(record.get(c), str)), None)
    return Row(tidy, column, record[column] if column else None)


class MetadataJsonl(_Metadata):
    """`metadata.jsonl`, one JSON object a line."""

    name = "metadata.jsonl"
    filename = "metadata.jsonl"

    def rows(self, path: Path, prefix: str) -> list[Row | None]:
        """Parse line by line."""
        return [self._parse(line, path, prefix, n) for n, line in enumerate(_lines(path), 1)]

    def _parse(self, line: str, path: Path, prefix: str, number: int) -> Row | None:
        if not line.strip():
            return None
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON ({str(error)[:80]})", "Mend the line.") from None
        if not isinstance(record, dict):
            raise InputError(f"{path}, line {number}: not a JSON object", "Mend the line.")
        return _row(record, prefix, path, number)

    def replaced(self, path: Path, prefix: str, captions: Mapping[str, str]) -> bytes:
        """Replace only the caption's own JSON string inside a changed line."""
        lines = _lines(path)
        for i, line in enumerate(lines):
            row = self._parse(line, path, prefix, i + 1)
            if row and row.column and row.key in captions:
                lines[i] = _spliced(line, row.column, captions[row.key])
        return "".join(lines).encode()


def _spliced(line: str, column: str, caption: str) -> str:
    """The line with one JSON string replaced and every other character kept."""
    wanted = json.loads(line) | {column: caption}
    name, new = re.escape(json.dumps(column)), json.dumps(caption, ensure_ascii=line.isascii())
    for found in re.finditer(name + r'\s*:\s*("(?:[^"\\]|\\.)*")', line):
        spliced = line[: found.start(1)] + new + line[found.end(1) :]
        if json.loads(spliced) == wanted:  # and not the same name and text inside another value
            return spliced
    raise InputError(f"cannot find the caption in {line.strip()[:80]!r}", "Write the column's name plainly, once.")


class MetadataCsv(_Metadata):
    """`metadata.csv` with a header row."""

    name = "metadata.csv"
    filename = "metadata.csv"

    def rows(self, path: Path, prefix: str) -> list[Row | None]:
        """Parse with the csv module; quoted captions may span lines."""
        header, records = _csv_records(path)
        return [
            _row(dict(zip(header, fields, strict=False)), prefix, path, n) for n, (fields, _) in enumerate(records, 1)
        ]

    def replaced(self, path: Path, prefix: str, captions: Mapping[str, str]) -> bytes:
        """Rewrite changed records; the raw text of all others is kept."""
        header, records = _csv_records(path)
        text = "".join(_lines(path))
        body = "".join(raw for _, raw in records)
        head, tail = text.split(body, 1) if body else (text, "")
        out = [head]
        for number, (fields, raw) in enumerate(records, 1):
            row = _row(dict(zip(header, fields, strict=False)), prefix, path, number)
            if row.column and row.key in captions:
                fields = list(fields)
                fields[header.index(row.column)] = captions[row.key]
                raw = _csv_row(fields, raw)
            out.append(raw)
        return ("".join(out) + tail).encode()


def _csv_row(fields: list[str], old: str) -> str:
    """A record written the way the old one was: everything quoted, or only what must be."""
    body = old.strip("\r\n")
    everything = body.startswith('"') and body.endswith('"')
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL if everything else csv.QUOTE_MINIMAL, lineterminator="\r\n").writerow(
        fields
    )
    return buffer.getvalue().removesuffix("\r\n") + old[len(old.rstrip("\r\n")) :]


def _csv_records(path: Path) -> tuple[list[str], list[tuple[list[str], str]]]:
    """Header, and every record with its raw text (blank lines go with the record after them)."""
    lines = _lines(path)
    reader = csv.reader(lines)
    records: list[tuple[list[str], str]] = []
    start = 0
    header: list[str] = []
    try:
        for fields in reader:
            if not fields:
                continue
            raw = "".join(lines[start : reader.line_num])
            start = reader.line_num
            if header:
                records.append((fields, raw))
            else:
                header = [name.strip() for name in fields]
                read = {"file_name", *CAPTION_COLUMNS}
                if twice := [name for name in header if name in read and header.count(name) > 1]:
                    raise InputError(f"{path}: two columns called {twice[0]!r}", "Rename or drop one of them.")
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}", "Mend the line.") from None
    if "file_name" not in header:
        raise InputError(f"{path}: no file_name column (has {header})", 'The header needs "file_name" and "text".')
    return header, records


def _lines(path: Path) -> list[str]:
    try:
        # Not str.splitlines: it also cuts at U+2028 and other characters that captions may hold.
        return list(io.StringIO(path.read_bytes().removeprefix(codecs.BOM_UTF8).decode("utf-8"), newline=""))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}", "Save it as UTF-8.") from None
