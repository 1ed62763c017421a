"""Caption tables of one JSON object a line."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from protect.errors import InputError
from protect.formats.caption_table import CaptionTable, Change, Row
from protect.formats.json_text import parsed, spliced


class JsonLines(CaptionTable):
    """`metadata.jsonl`."""

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
            for number, line in enumerate(file, 1):
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
