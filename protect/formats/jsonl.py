"""Caption tables of one JSON object a line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from pathlib import Path

from protect.errors import InputError
from protect.formats.caption_table import CaptionTable, Change, Row
from protect.formats.json_text import parsed, spliced

_PART = 1 << 20
"""Bytes of a part, and what is left of its last line."""


class JsonLines(CaptionTable):
    """`metadata.jsonl`, or some lines of it that follow each other."""

    def __init__(self, root: Path, name: str, start: int = 0, end: int | None = None, first: int = 1) -> None:
        super().__init__(root, name)
        self._start, self._end, self._first = start, end, first
        folder, _, file = name.rpartition("/")
        self.part = "" if end is None else f"{folder}{'/' * bool(folder)}.{start:012}.{file}"

    @property
    def size(self) -> int:
        """Of these lines."""
        return super().size if self._end is None else self._end - self._start

    def parts(self) -> Sequence[CaptionTable]:
        """About a mebibyte each; lines are told from the ends of lines alone."""
        if self.size < 2 * _PART:
            return (self,)
        found, start, line = [], 0, 1
        with self.path.open("rb") as file:
            while block := file.read(_PART):
                block += file.readline()
                found.append(JsonLines(self._root, self.name, start, start + len(block), line))
                start, line = start + len(block), line + block.count(b"\n")
        return found

    def rows(self) -> Iterator[Row]:
        """Parse line by line; blank lines are none."""
        return (row for _, _, row in self._lines() if row)

    def rewrite(self, target: Path, change: Change) -> bool:
        """Replace only the changed values inside their lines."""
        changed = False
        with target.open("wb") as out:
            for start, text, row in self._lines():
                changes = change(row) if row else {}
                try:
                    out.write(start + (spliced(text, changes) if changes else text).encode())
                except ValueError as error:
                    raise InputError(f"{self.name}: cannot change {text[:80]!r}: {error}", "Mend the line.") from None
                changed = changed or bool(changes)
        return changed

    def _lines(self) -> Iterator[tuple[bytes, str, Row | None]]:
        """Byte order mark, text and row of every line."""
        with self.path.open("rb") as file:
            file.seek(self._start)
            left = self.size
            for number, line in enumerate(file, self._first):
                left -= len(line)
                if left < 0:
                    return
                start = codecs.BOM_UTF8 if number == 1 and line.startswith(codecs.BOM_UTF8) else b""
                try:
                    text = line[len(start) :].decode()
                except UnicodeDecodeError as error:
                    message = f"{self.path}, line {number}: not UTF-8 at byte {error.start}"
                    raise InputError(message, "Save it as UTF-8.") from None
                yield start, text, self._row(text, number) if text.strip() else None

    def _row(self, text: str, number: int) -> Row:
        try:
            value = parsed(text)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{self.path}, line {number}: not JSON ({str(error)[:80]})", "Mend the line.") from None
        if not isinstance(value, dict):
            raise InputError(f"{self.path}, line {number}: not a JSON object", "Mend the line.")
        return Row(number, value)
