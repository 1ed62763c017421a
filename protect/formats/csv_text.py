"""Caption tables of comma-separated values."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.caption_table import CaptionTable, Change, Row

_FIELD = re.compile(r'"(?:[^"]|"")*"?[^,]*|[^,]*')
_LONGEST = 1 << 24
"""Most characters of a field: captions are shorter, and an unclosed quote shall not fill the memory."""


class CsvTable(CaptionTable):
    """`metadata.csv` with a header row."""

    def rows(self) -> Iterator[Row]:
        """Parse record by record; quoted captions may span lines."""
        records = self._records()
        header = self._header(next(records, (0, [], ""))[1])
        for number, fields, _ in records:
            if fields:
                yield self._row(number, header, fields)

    def rewrite(self, target: Path, change: Change) -> bool:
        """Replace only the changed fields; everything else keeps its bytes."""
        header: list[str] | None = None
        changed = False
        with target.open("wb") as out:
            out.write(self._mark())
            for number, fields, text in self._records():
                if header is None:
                    header = self._header(fields)
                elif fields and (changes := change(self._row(number, header, fields))):
                    changed = True
                    text = _spliced(text, fields, {header.index(name): str(new) for name, new in changes.items()})
                out.write(text.encode())
        return changed

    def _mark(self) -> bytes:
        with self.path.open("rb") as file:
            return codecs.BOM_UTF8 if file.read(3) == codecs.BOM_UTF8 else b""

    def _row(self, number: int, header: Sequence[str], fields: Sequence[str]) -> Row:
        if len(fields) > len(header):
            raise InputError(
                f"{self.path}, line {number}: {len(fields)} fields, but {len(header)} columns",
                "Quote fields that hold commas.",
            )
        return Row(number, dict(zip(header, fields, strict=False)))

    def _header(self, fields: Sequence[str]) -> list[str]:
        header = [name.strip() for name in fields]
        if twice := [name for name in header if header.count(name) > 1]:
            raise InputError(f"{self.path}: two columns called {twice[0]!r}", "Rename or drop one of them.")
        return header

    def _records(self) -> Iterator[tuple[int, list[str], str]]:
        """First line, fields and text of every record; a blank line is one without fields. The first is the header."""
        csv.field_size_limit(_LONGEST)
        pieces: list[str] = []
        number = 1
        with self.path.open("rb") as file:
            reader = csv.reader(_kept(_decoded(file, self.path), pieces))
            try:
                for fields in reader:
                    yield number, fields, "".join(pieces)
                    pieces.clear()
                    number = reader.line_num + 1
            except csv.Error as error:
                raise InputError(f"{self.path}, line {reader.line_num}: {error}", "Mend the line.") from None


def _decoded(lines: Iterable[bytes], path: Path) -> Iterator[str]:
    """Lines end as files say, not as `str.splitlines` does: captions may hold U+2028."""
    for number, line in enumerate(lines, 1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            message = f"{path}, line {number}: not UTF-8 at byte {error.start}"
            raise InputError(message, "Save it as UTF-8.") from None
        yield from io.StringIO(text, newline="") if "\r" in text[:-2] else (text,)


def _kept(lines: Iterable[str], pieces: list[str]) -> Iterator[str]:
    for line in lines:
        pieces.append(line)
        yield line


def _spliced(text: str, fields: Sequence[str], changes: Mapping[int, str]) -> str:
    """The text of a record with some fields replaced; a field is quoted if it was, or must be."""
    body = text.rstrip("\r\n")
    pieces, start = [], 0
    for i in range(len(fields)):
        found = _FIELD.match(body, start)
        assert found is not None  # the second alternative matches anything
        old = found.group()
        pieces.append(_field(changes[i], old) if i in changes else old)
        start = found.end() + 1
    new = ",".join(pieces)
    wanted = [changes.get(i, field) for i, field in enumerate(fields)]
    if next(csv.reader(io.StringIO(new, newline=""))) != wanted:
        raise InputError(f"cannot change one field of {body[:80]!r}", "Quote it as other programs do.")
    return new + text[len(body) :]


def _field(new: str, old: str) -> str:
    quoted = old.startswith('"') or new.startswith('"') or any(c in new for c in ",\r\n")
    return '"' + new.replace('"', '""') + '"' if quoted else new
