"""The owner's own sites: a file with a pair of phrases in each row, in any language."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from protect.alignments.scripts import SPACELESS, main_script
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found, Site
from protect.errors import InputError

_ADVICE = 'Write two phrases in each row, such as "a photo of,a picture of"; a third column may say where: {}.'
OWN = "own: "
"""How names of these sites begin."""
_LONGEST = 200
"""Characters of a phrase."""


class Where(StrEnum):
    """Where in a caption a phrase is looked for."""

    EVERYWHERE = "everywhere"
    FIRST = "first"
    START = "start"
    END = "end"


@dataclass(frozen=True, slots=True)
class Literal:
    """Puts one phrase of the owner in place of another; where words have spaces, whole words only."""

    first: str
    second: str
    where: Where
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        spelt = sorted({form for phrase in (self.first, self.second) for form in (phrase, _capital(phrase))})
        choices = "|".join(_bounded(form) for form in sorted(spelt, key=len, reverse=True))
        start = r"\A\s*" if self.where is Where.START else ""
        end = r"(?=[.。!！?？]?\s*\Z)" if self.where is Where.END else ""
        object.__setattr__(self, "pattern", re.compile(f"{start}(?P<said>{choices}){end}"))

    def __call__(self, reading: Reading) -> Found | None:
        """Where one of the phrases stands first, or all of them."""
        edits, sides = [], set()
        for match in self.pattern.finditer(reading.shown):
            side, other = self._turn(match["said"])
            sides.add(side)
            edits.append((*match.span("said"), other))
            if self.where is not Where.EVERYWHERE:
                break
        return Found(sides.pop(), tuple(edits)) if len(sides) == 1 else None

    def _turn(self, said: str) -> tuple[int, str]:
        for side, phrase, other in ((FIRST, self.first, self.second), (SECOND, self.second, self.first)):
            if said == phrase:
                return side, other
        return (FIRST, _capital(self.second)) if said == _capital(self.first) else (SECOND, _capital(self.first))


def _capital(phrase: str) -> str:
    """A phrase with a capital, if it has a small letter at its beginning that has one."""
    upper = phrase[:1].upper()
    return upper + phrase[1:] if len(upper) == 1 else phrase


def _bounded(phrase: str) -> str:
    """A regular expression for a phrase that begins and ends with whole words, but for scripts without spaces."""
    before = r"(?<![\w'’-])" if _spaced(phrase[0]) else ""
    behind = r"(?![\w'’-])" if _spaced(phrase[-1]) else ""
    return f"{before}{re.escape(phrase)}{behind}"


def _spaced(letter: str) -> bool:
    return letter.isalnum() and main_script(letter) not in SPACELESS


@dataclass(frozen=True, slots=True)
class SitesFile:
    """What a file of sites holds."""

    sites: tuple[Site, ...]
    canonical: bytes
    """One JSON list of first, second and where in each line, in UTF-8: what is stored. The same for CSV and TSV."""

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal: what a commitment holds."""
        return hashlib.sha256(self.canonical).hexdigest()


def load_sites(path: Path) -> SitesFile:
    """The sites of a file in UTF-8 with two or three columns: first side, second side, where.

    Columns are separated by commas (as in CSV) or, in files that end in .tsv or have a tab in their first row, by tabs.
    A row "first,second" or "first,second,where" at the top is a heading; empty rows are skipped.

    Raises:
        InputError: if the file cannot be read, or a row cannot be used; with the row's number, from 1.
    """
    rows: list[tuple[str, str, Where]] = []
    seen: dict[frozenset[str], int] = {}
    for number, cells in _rows(path):
        row = _checked(path, number, cells)
        earlier = seen.setdefault(frozenset(row[:2]), number)
        if earlier != number:
            raise _wrong(path, number, f"has the same two sides as row {earlier}")
        rows.append(row)
    if not rows:
        raise InputError(f"{path} holds no pair of phrases", _advice())
    return SitesFile(tuple(_site(*row) for row in rows), _canonical(rows))


def stored_sites(canonical: bytes) -> tuple[Site, ...]:
    """The sites of a file from its canonical bytes."""
    rows = (json.loads(line) for line in canonical.decode("utf-8").splitlines())
    return tuple(_site(first, second, Where(where)) for first, second, where in rows)


def _canonical(rows: Sequence[tuple[str, str, Where]]) -> bytes:
    lines = (json.dumps([first, second, str(where)], ensure_ascii=True) for first, second, where in rows)
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _site(first: str, second: str, where: Where) -> Site:
    return Site(
        f"{OWN}{first}|{second}" + ("" if where is Where.FIRST else f" ({where})"), Literal(first, second, where)
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers and cells of all rows that are not empty, without the heading."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", "Give a file that you can read.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"row {line} of {path} is not UTF-8", "Save the file as UTF-8.") from error
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), "")
    tabs = path.suffix.lower() == ".tsv" or "\t" in first
    try:
        yield from _cells(csv.reader(lines, delimiter="\t" if tabs else ",", strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise InputError(f"{path} cannot be read as a table: {error}", _advice()) from error


def _cells(table: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    for number, cells in enumerate(table, start=1):
        stripped = [cell.strip() for cell in cells]
        heading = number == 1 and [cell.lower() for cell in stripped] in (
            ["first", "second"],
            ["first", "second", "where"],
        )
        if any(stripped) and not heading:
            yield number, stripped


def _checked(path: Path, number: int, cells: list[str]) -> tuple[str, str, Where]:
    """A row's first side, second side and place."""
    if len(cells) < 2 or len(cells) > 3:
        raise _wrong(path, number, f"has {len(cells)} column{'s' * (len(cells) != 1)} and must have two or three")
    first, second = cells[:2]
    if not first or not second:
        raise _wrong(path, number, f"has no {'second' if first else 'first'} side")
    if first == second or _capital(first) == _capital(second):
        raise _wrong(path, number, f'has the same phrase twice: "{first[:40]}"')
    if max(len(first), len(second)) > _LONGEST:
        raise _wrong(path, number, f"has a phrase of more than {_LONGEST} characters")
    where = cells[2].lower() if len(cells) == 3 and cells[2] else str(Where.FIRST)
    if where not in set(Where):
        raise _wrong(path, number, f'says "{where[:40]}" in its third column, which must be {_places()}')
    _check_round_trip(path, number, first, second, Where(where))
    return first, second, Where(where)


def _check_round_trip(path: Path, number: int, first: str, second: str, where: Where) -> None:
    site = _site(first, second, where)
    for side, phrase, other in ((FIRST, first, second), (SECOND, second, first)):
        for text in (phrase, f"{phrase} x" if where is Where.START else f"x {phrase}"):
            if site.state(text) != side or other not in site.turned(text, 1 - side):
                contained = " since one side contains the other" if first in second or second in first else ""
                raise _wrong(path, number, f'cannot be turned from "{phrase[:40]}" and back{contained}')


def _places() -> str:
    return ", ".join(Where)


def _advice() -> str:
    return _ADVICE.format(_places())


def _wrong(path: Path, number: int, what: str) -> InputError:
    return InputError(f"row {number} of {path} {what}", _advice())
