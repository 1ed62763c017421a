"""Captions inside the members of a webdataset sample: where they stand, and how they are replaced in place."""

from __future__ import annotations

import codecs
import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from protect.errors import InputError
from protect.formats.columns import CaptionColumns, Json, column_of, leaves, usual
from protect.formats.dataset_format import ReadOptions
from protect.formats.json_text import parsed, spliced
from protect.formats.sharded import refuse_left_alone
from protect.formats.tar import Member
from protect.formats.tar_samples import LARGEST_TEXT, TarSample, is_json, is_picture, is_text, last

HASHES = frozenset({"md5", "sha1", "sha256", "sha512"})
"""Last endings of members that hold the hash of a picture and nothing else."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_LINE = re.compile(r"[^\r\n]+")

Read = Callable[[Member], bytes]
"""Reads a member's content."""


class TextError(ValueError):
    """A member that cannot be understood; the message says which and why."""


class MemberColumns(CaptionColumns):
    """Which fields of a sample are captions: lines of texts (`.txt`, `.txt:2`) and values in JSON (`.json:caption`).

    The owner may leave out the dot and what stands before the colon: `txt`, `caption`.
    """

    def taken(self, column: str) -> bool:
        """Whether a field holds captions that are read and changed."""
        return _taken(self.options, column)

    def left(self, column: str) -> bool:
        """Whether the owner said that a field stays as it is."""
        return _left(self.options, column)

    def means(self, name: str, column: str) -> bool:
        """Whether a name of the owner's speaks of a field, or of an entry of its list."""
        return means(column_of(name), column)

    def reads(self, suffix: str) -> bool:
        """Whether a member is read as text, for captions or hashes."""
        return is_json(suffix) or last(suffix) in HASHES or is_text(suffix) or self.taken(f".{suffix}")

    def check(self, rows: Sequence[Json], where: str, *, required: bool = True) -> None:
        """Look at the first samples (see `CaptionColumns.check`), once the owner's names are spelt out."""
        columns = list(dict.fromkeys(column_of(name) for row in rows for name, _ in leaves(row)))
        self.met.update(columns)
        spelt: list[str] = []
        for name in self.options.caption_columns:
            found = [column for column in columns if means(name, column)]
            if not found:
                listed = ", ".join(columns) or "none"
                raise InputError(f"{where} has no field {name!r}; its text fields: {listed}", "Use --caption-column.")
            spelt += found
        options = replace(self.options, caption_columns=tuple(spelt))
        super(MemberColumns, MemberColumns(options)).check(rows, where, required=required)
        refuse_left_alone(self, filter(_is_usual, columns), where)


@lru_cache(4096)
def _taken(options: ReadOptions, column: str) -> bool:
    if options.caption_columns:
        return any(means(name, column) for name in options.caption_columns) and not _left(options, column)
    return _is_usual(column) and not _left(options, column)


@lru_cache(4096)
def _left(options: ReadOptions, column: str) -> bool:
    return any(means(column_of(name), column) for name in options.leave_captions)


def means(name: str, column: str) -> bool:
    """Whether a name of the owner's speaks of a column.

    >>> means("txt", ".txt:2"), means("caption", ".json:caption"), means("json", ".json:a"), means("a", ".json:a.b")
    (True, True, True, True)
    """
    name, member, inner = name.removeprefix("."), *_parts(column)
    if name in (column[1:], member):
        return True
    spelt, _, wanted = name.rpartition(":")
    return bool(inner) and spelt in ("", member) and (inner == wanted or inner.startswith(f"{wanted}."))


def _is_usual(column: str) -> bool:
    """Whether captions are usually kept there."""
    member, inner = _parts(column)
    return usual(inner) if inner else is_text(member)


def _parts(column: str) -> tuple[str, str]:
    """Member without its dot, and place inside it; the second is empty for the lines of a text."""
    member, _, inner = column[1:].partition(":")
    return member, "" if inner.isdigit() else inner


@dataclass(frozen=True, slots=True)
class Text:
    """A member that is read as text."""

    suffix: str
    member: Member
    mark: bytes
    """Byte order mark, or nothing."""
    text: str

    def fields(self) -> dict[str, Json]:
        """Strings and numbers by field.

        Raises:
            TextError: if it should be JSON and is not.
        """
        return self._values() if is_json(self.suffix) else {name: line for name, (line, _) in self._lines().items()}

    def _values(self) -> dict[str, Json]:
        try:
            value = parsed(self.text)
        except (ValueError, RecursionError) as error:
            raise TextError(f"{self.member.name} is not JSON ({str(error)[:80]})") from None
        if isinstance(value, dict):
            return {f".{self.suffix}:{name}": inner for name, inner in value.items()}
        return {f".{self.suffix}:": value}

    def _lines(self) -> dict[str, tuple[str, int]]:
        """Lines that are not blank, each with the place where it begins, by field."""
        found = [line for line in _LINE.finditer(self.text) if not line[0].isspace()]
        names = (f".{self.suffix}:{n}" if n > 1 else f".{self.suffix}" for n in itertools.count(1))
        return {name: (line[0], line.start()) for name, line in zip(names, found, strict=False)}

    def replaced(self, changes: Mapping[str, str | int]) -> bytes:
        """The member's content with new values for some of its fields; every other byte stays.

        Raises:
            ValueError: if it is JSON that has a field twice.
        """
        if is_json(self.suffix):
            start = len(self.suffix) + 2
            return self.mark + spliced(self.text, {name[start:]: new for name, new in changes.items()}).encode()
        pieces, last_end = [], 0
        for name, (line, start) in self._lines().items():
            pieces += [self.text[last_end:start], str(changes.get(name, line))]
            last_end = start + len(line)
        return self.mark + "".join([*pieces, self.text[last_end:]]).encode()


@dataclass(frozen=True, slots=True)
class Texts:
    """All texts of a sample."""

    found: tuple[Text, ...]
    row: Mapping[str, Json]
    """Strings and numbers of all of them, by field."""

    def replaced(self, changes: Mapping[str, str | int]) -> Iterator[tuple[Member, bytes]]:
        """Members that change, with their new content."""
        for text in self.found:
            own = {name: new for name, new in changes.items() if _owns(text.suffix, name)}
            if own:
                yield text.member, text.replaced(own)


def _owns(suffix: str, name: str) -> bool:
    return name.partition(":")[0] == f".{suffix}"


def texts(members: Iterable[tuple[str, Member]], read: Read) -> Texts:
    """Read members as texts.

    Raises:
        TextError: if one is not UTF-8 or not JSON.
    """
    found = tuple(_text(suffix, member, read(member)) for suffix, member in members)
    row: dict[str, Json] = {}
    for text in found:
        row |= text.fields()
    for name, value in leaves(row):
        if not (name.isascii() and value.isascii()) and _SURROGATE.search(name + value):
            raise TextError("a caption is not valid Unicode")
    return Texts(found, row)


def _text(suffix: str, member: Member, content: bytes) -> Text:
    mark = codecs.BOM_UTF8 if content.startswith(codecs.BOM_UTF8) else b""
    try:
        return Text(suffix, member, mark, content[len(mark) :].decode())
    except UnicodeDecodeError:
        raise TextError(f"{member.name} is not UTF-8") from None


def glance(sample: TarSample, read: Read) -> dict[str, Json]:
    """Every member of a sample that can be read as text, by field: what the owner may name."""
    row: dict[str, Json] = {}
    for suffix, member in sample.members:
        if member.size <= LARGEST_TEXT and not is_picture(suffix):
            with contextlib.suppress(TextError):
                row |= texts([(suffix, member)], read).row
    return row
