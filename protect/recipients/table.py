"""Files of recipients: those an owner writes, and whole ledgers, as CSV or as JSON of one object a line."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path

from protect.errors import InputError
from protect.files import canonical_json, new_file
from protect.formats.caption_table import CaptionTable, Row
from protect.formats.csv_text import CsvTable
from protect.formats.jsonl import JsonLines
from protect.recipients.entry import Entry, Recipient
from protect.recipients.ledger import COLUMNS

NEEDED, KNOWN = ("name", "terms"), ("name", "terms", "contact")
"""Columns of an owner's file of recipients."""
ENDINGS = {".csv": CsvTable, ".jsonl": JsonLines}


def entries_in(path: Path) -> Iterator[tuple[str, Entry]]:
    """The recipients in an owner's file, each with its place; read as a stream.

    Raises:
        InputError: if it cannot be read, or a row is broken: which.
    """
    for place, row in _rows(path):
        unknown = [name for name in row.values if name not in KNOWN]
        missing = [name for name in NEEDED if name not in row.values]
        if unknown or missing:
            problem = f"unknown column {unknown[0]!r}" if unknown else f"no {missing[0]}"
            raise InputError(f"{place}: {problem}", f"Columns: {', '.join(NEEDED)} and, if you like, contact.")
        yield place, Entry(**_texts(row, place))


def recipients_in(path: Path) -> Iterator[tuple[str, Recipient]]:
    """The recipients in an export, each with its place; read as a stream.

    Raises:
        InputError: if it cannot be read, or a row is broken: which.
    """
    for place, row in _rows(path):
        texts = _texts(row, place)
        if set(texts) != set(COLUMNS):
            raise InputError(f"{place}: not the columns of an export", f"They are {', '.join(COLUMNS)}.")
        serial = texts.pop("serial")
        if not re.fullmatch("[1-9][0-9]{0,17}", serial) or not re.fullmatch("[0-9a-f]{16}", texts["release"]):
            raise InputError(f"{place}: no release or serial number", "Restore the row as it was exported.")
        recipient = Recipient(serial=int(serial), **texts)
        try:
            recipient.entry.check()
        except InputError as error:
            raise InputError(f"{place}: {error.what}", error.advice) from None
        yield place, recipient


def write_table(path: Path, recipients: Iterable[Recipient]) -> int:
    """Write an export, which only its owner can read; returns the number of rows."""
    count = 0
    lines = _ending(path) == ".jsonl"
    with new_file(path, mode=0o600) as stream:
        if not lines:
            stream.write(_csv_row([field.name for field in fields(Recipient)]))
        for recipient in recipients:
            row = asdict(recipient)
            stream.write(canonical_json(row) + b"\n" if lines else _csv_row([str(value) for value in row.values()]))
            count += 1
    return count


def _csv_row(values: list[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise InputError(f"{path} is no table of recipients", f"Its name ends in {' or '.join(ENDINGS)}.")
    return ending


def _rows(path: Path) -> Iterator[tuple[str, Row]]:
    table: CaptionTable = ENDINGS[_ending(path)](path.parent, path.name)
    try:
        for row in table.rows():
            yield table.where(row), row
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})", "Give a table of recipients.") from None


def _texts(row: Row, place: str) -> dict[str, str]:
    """All values as texts."""
    for name, value in row.values.items():
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise InputError(f"{place}: {name} is neither a text nor a number", "Mend the row.")
    return {name: str(value) for name, value in row.values.items()}
