"""Which columns of a table, or names in a JSON object, hold captions."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from protect.errors import InputError
from protect.formats.dataset_format import ReadOptions

Json: TypeAlias = "bool | int | float | str | list[Json] | Mapping[str, Json] | None"
"""What a cell of a table may hold."""

_WORDS = ("text", "caption", "prompt", "description", "sentence", "alt")
_PLAIN = frozenset((*_WORDS, *(f"{word}s" for word in _WORDS), "alt_text", "alttext", "positive_prompt"))
_CAPTION_PART = re.compile(r"(.*_)?(re|alt)?captions?(_.*|\d+)?|(.*_)(text|prompt|description)s?")
_NOT_CAPTIONS = re.compile(
    r"(.*_)?(negative|ids?|source|model|lang|language|url|score|type|length|len|count|hash)(_.*)?"
)
_INDEX = re.compile(r"\[\d+\]")
_LONG = 12
"""Characters from which a caption inside another text is no accident."""
_WORD = re.compile(r"[^\W\d_]+")
_LETTER_IS_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\u0e00-\u0e7f]")


def leaves(value: Json, field_name: str = "") -> Iterator[tuple[str, str]]:
    """All strings inside a value, by field.

    >>> list(leaves({"text": "a", "more": {"captions": ["b", "c"]}}))
    [('text', 'a'), ('more.captions[0]', 'b'), ('more.captions[1]', 'c')]
    """
    inner: Iterable[tuple[str, Json]] = ((field_name, value),)
    if isinstance(value, Mapping):
        start = f"{field_name}." if field_name else ""
        inner = ((start + name, one) for name, one in value.items())
    elif isinstance(value, list):
        inner = ((f"{field_name}[{i}]", one) for i, one in enumerate(value))
    for name, one in inner:
        if isinstance(one, str):
            yield name, one
        elif isinstance(one, list | Mapping):
            yield from leaves(one, name)


@lru_cache(maxsize=4096)
def column_of(field_name: str) -> str:
    """The column of a field.

    >>> column_of("sentences[2].raw")
    'sentences.raw'
    """
    return _INDEX.sub("", field_name)


def usual(column: str) -> bool:
    """Whether captions are usually kept under this name; `title`, names of files and negative prompts are none.

    >>> usual("text"), usual("blip_caption"), usual("caption_source"), usual("title"), usual("sentences.raw")
    (True, True, False, False, True)
    """
    parts = [re.sub(r"[\s-]", "_", part.casefold()) for part in column.split(".")]
    last = parts[-1]
    if last in _PLAIN or (last == "raw" and len(parts) > 1 and parts[-2] in _PLAIN):
        return True
    return bool(_CAPTION_PART.fullmatch(last)) and not _NOT_CAPTIONS.fullmatch(last)


@dataclass(slots=True)
class CaptionColumns:
    """The columns that are taken for captions, and those that the owner leaves as they are."""

    options: ReadOptions
    met: set[str] = field(default_factory=set)
    """Columns of text that were met so far, captions or not."""
    _known: dict[str, bool] = field(default_factory=dict)

    def taken(self, column: str) -> bool:
        """Whether a column holds captions that are read and changed."""
        if column not in self._known:
            named = self.options.caption_columns
            wanted = any(_is_called(column, name) for name in named) if named else usual(column)
            self._known[column] = wanted and not self.left(column)
        return self._known[column]

    def left(self, column: str) -> bool:
        """Whether the owner said that a column stays as it is. Who changes captions leaves single entries of a list."""
        return any(self.means(name, column) for name in self.options.leave_captions)

    def means(self, name: str, column: str) -> bool:
        """Whether a name of the owner's speaks of a column."""
        return _is_called(column, name)

    def unmet(self, fields: Container[str]) -> list[str]:
        """Names that the owner gave for what stays as it is, and that nothing is called which was met so far.

        Args:
            fields: of all captions that were read.
        """
        names = self.options.leave_captions
        return [n for n in names if n not in fields and not any(self.means(n, column) for column in self.met)]

    def captions(self, row: Json) -> dict[str, str]:
        """All captions of a row by field, with the white space around them."""
        found = {}
        for name, text in leaves(row):
            column = column_of(name)
            self.met.add(column)
            if self.taken(column):
                found[name] = text
        return found

    def check(self, rows: Sequence[Json], where: str, *, required: bool = True) -> None:
        """Look at the first rows of a table before anything is read from it.

        Args:
            rows: the first rows.
            where: the table, for messages.
            required: whether there must be a column of captions.

        Raises:
            InputError: if a column that was asked for does not exist, none holds captions, or one that looks like
                captions is not taken.
        """
        columns = dict.fromkeys(column_of(name) for row in rows for name, _ in leaves(row))
        self.met.update(columns)
        listed = ", ".join(columns) or "none"
        for name in self.options.caption_columns:
            if not any(_is_called(column, name) for column in columns):
                raise InputError(f"{where} has no column {name!r}; its text columns: {listed}", "Use --caption-column.")
        if required and columns and not any(self.taken(column) for column in columns):
            raise InputError(
                f"{where}: no column has a usual name for captions; its text columns: {listed}",
                "Name the one that holds the captions with --caption-column.",
            )
        for column in columns:
            if not self.taken(column) and not self.left(column) and self._like_captions(column, rows):
                raise InputError(*_refusal(column, where))

    def check_row(self, row: Json, captions: Mapping[str, str], where: str) -> None:
        """Refuse a row in which a column that is not taken repeats one of the sample's captions.

        Raises:
            InputError: naming the column.
        """
        texts = set(captions.values())
        for name, text in leaves(row):
            column = column_of(name)
            if self.taken(column) or self.left(column):
                continue
            if text.strip() in texts or any(len(caption) >= _LONG and caption in text for caption in texts):
                raise InputError(*_refusal(column, where))

    def _like_captions(self, column: str, rows: Sequence[Json]) -> bool:
        texts = [text for row in rows for name, text in leaves(row) if column_of(name) == column and text.strip()]
        return len(texts) > 1 and len(set(texts)) > len(texts) / 2 and sum(map(_is_sentence, texts)) > len(texts) / 2


def _is_called(column: str, name: str) -> bool:
    """Whether a column is meant by a name: its own, or that of what it lies in, or its last part."""
    return column == name or column.startswith(name + ".") or column.endswith("." + name)


def _refusal(column: str, where: str) -> tuple[str, str]:
    return (
        f"{where}: {column!r} looks like captions too, and would show which samples changed",
        f"Use --caption-column for every column to change, or --leave-captions {column} to leave this one.",
    )


def _is_sentence(text: str) -> bool:
    words = len(_WORD.findall(text)) + len(_LETTER_IS_WORD.findall(text)) // 2
    letters = sum(c.isalpha() or c.isspace() for c in text)
    return words >= 4 and letters >= 0.75 * len(text)
