"""Files beside a picture that hold its captions: lines of text, or names in a JSON object."""

from __future__ import annotations

import codecs
import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from protect.formats.columns import CaptionColumns, Json
from protect.formats.fingerprints import renewed
from protect.formats.folder import is_picture
from protect.formats.json_text import parsed, spliced
from protect.formats.record import Record

TEXTS = frozenset({".txt", ".caption", ".captions", ".tags"})
JSON = ".json"
_LINE = re.compile(r"[^\r\n]+")


class UnreadableError(Exception):
    """A caption file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class SampleFiles:
    """The files of one stem."""

    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    jsons: tuple[str, ...]

    @classmethod
    def of(cls, files: Sequence[str]) -> SampleFiles:
        """Sort files by what they are; endings in any case."""
        endings = [(file, posixpath.splitext(file)[1].lower()) for file in files]
        return cls(
            tuple(filter(is_picture, files)),
            tuple(file for file, ending in endings if ending in TEXTS),
            tuple(file for file, ending in endings if ending == JSON),
        )


class CaptionFiles:
    """Reads and rewrites the caption files of a folder.

    Fields: `.txt` for the first line that is not blank, `.txt:2` for the second, `.json:caption` for a name in an
    object.
    """

    def __init__(self, root: Path, columns: CaptionColumns) -> None:
        self._root, self._columns = root, columns

    def captions(self, files: SampleFiles) -> dict[str, str]:
        """All captions of a sample by field.

        Raises:
            UnreadableError: if a file is not UTF-8 or no JSON.
            InputError: if a name of a JSON object repeats a caption and is not taken for one.
        """
        found = {field: caption for path in files.texts for field, caption, *_ in self._lines(path, self._text(path))}
        rows = {path: self.json(path) for path in files.jsons}
        for row in rows.values():
            texts = {f"{JSON}:{name}": text.strip() for name, text in self._columns.captions(row).items()}
            found |= {field: text for field, text in texts.items() if text}
        for path, row in rows.items():
            self._columns.check_row(row, found, path)
        return found

    def rewritten(
        self, files: SampleFiles, record: Record, captions: Mapping[str, str], picture: bytes | None
    ) -> dict[str, bytes]:
        """The caption files that change, with other captions, and with hashes of the picture as released."""
        new = {}
        if any(captions[field] != old for field, old in record.captions.items()):
            new = {path: self._with_lines(path, captions) for path in files.texts}
        for path in files.jsons:
            row = self.json(path)
            raw = self._columns.captions(row)
            changes: dict[str, str | int] = {
                name: text.replace(record.captions[field], captions[field], 1)
                for name, text in raw.items()
                if (field := f"{JSON}:{name}") in captions and captions[field] != record.captions[field]
            }
            changes |= renewed(row, record.read, lambda: picture, changes)
            if changes:
                new[path] = self._encoded(path, spliced(self._text(path), changes))
        return new

    def json(self, path: str) -> Json:
        """The value that a JSON file holds.

        Raises:
            UnreadableError: if it is none.
        """
        try:
            return parsed(self._text(path))
        except (ValueError, RecursionError):
            raise UnreadableError(f"{path} is not JSON") from None

    def _lines(self, path: str, text: str) -> Iterator[tuple[str, str, int, int]]:
        """Field, caption, start and end of every line that is not blank."""
        ending = posixpath.splitext(path)[1]
        self._columns.met.add(ending)
        if self._columns.left(ending):
            return
        number = itertools.count(1)
        for line in _LINE.finditer(text):
            if caption := line.group().strip():
                start = line.start() + line.group().index(caption)
                n = next(number)
                yield (ending if n == 1 else f"{ending}:{n}"), caption, start, start + len(caption)

    def _with_lines(self, path: str, captions: Mapping[str, str]) -> bytes:
        """A text file with other captions; white space and ends of lines stay."""
        text = self._text(path)
        pieces, last = [], 0
        for field, _, start, end in self._lines(path, text):
            pieces += [text[last:start], captions[field]]
            last = end
        return self._encoded(path, "".join([*pieces, text[last:]]))

    def _text(self, path: str) -> str:
        try:
            return (self._root / path).read_bytes().decode("utf-8-sig")
        except (OSError, UnicodeDecodeError):
            raise UnreadableError(f"{path} is not readable UTF-8") from None

    def _encoded(self, path: str, text: str) -> bytes:
        marked = (self._root / path).read_bytes().startswith(codecs.BOM_UTF8)
        return (codecs.BOM_UTF8 if marked else b"") + text.encode()
