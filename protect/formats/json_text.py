"""Changing single values inside JSON text while every other character stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from protect.formats.columns import Json

_UNIT = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u.{4}|\\.|.", re.DOTALL)
_STRING = re.compile(r'\s*:\s*(?P<value>"[^"]*")')
_TOKEN = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[\[\]{},:])|(?P<plain>[^\s\[\]{},:"]+)')


class TwiceError(ValueError):
    """A name stands twice in one object."""


def parsed(text: str) -> Json:
    """The value that a text holds.

    Raises:
        ValueError: if it is no JSON, or a name stands twice in an object.
        RecursionError: if it is nested too deep.
    """
    value: Json = _DECODER.decode(text)
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    named = dict(pairs)
    if len(named) != len(pairs):
        raise TwiceError("a name stands twice in an object")
    return named


_DECODER = json.JSONDecoder(object_pairs_hook=_object)


def spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Field, start and end of every string and number of a JSON text, which must be valid.

    >>> [(name, '{"a": ["b", 1]}'[i:j]) for name, i, j in spans('{"a": ["b", 1]}')]
    [('a[0]', '"b"'), ('a[1]', '1')]
    """
    way: list[str | int] = []
    name_next = False
    for token in _TOKEN.finditer(text):
        mark = token["mark"]
        if mark in ("{", "["):
            way.append("" if mark == "{" else 0)
            name_next = mark == "{"
        elif mark in ("}", "]"):
            way.pop()
            name_next = False
        elif mark == ",":
            here = way[-1]
            name_next = isinstance(here, str)
            way[-1] = here if isinstance(here, str) else here + 1
        elif mark is None and name_next:
            way[-1] = json.loads(token["string"])
            name_next = False
        elif mark is None:
            yield _field(way), token.start(), token.end()


def _field(way: list[str | int]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in way).removeprefix(".")


def spliced(text: str, changes: Mapping[str, str | int]) -> str:
    """The text with some of its strings and numbers replaced.

    Args:
        text: a JSON text.
        changes: new values by field.

    Raises:
        ValueError: if a field is not there exactly once.
    """
    found = _flat(text, changes)
    if found is None:
        found = [(start, end, name) for name, start, end in spans(text) if name in changes]
    if sorted(name for _, _, name in found) != sorted(changes):
        raise ValueError(f"not each of {sorted(changes)} is there once")
    pieces, last = [], 0
    for start, end, name in found:
        pieces += [text[last:start], _literal(text[start:end], changes[name], text.isascii())]
        last = end
    return "".join([*pieces, text[last:]])


def _flat(text: str, names: Iterable[str]) -> list[tuple[int, int, str]] | None:
    """The same places in a text without braces, brackets or backslashes inside: most lines of a table, in less time.

    There every second quotation mark ends a string, so that a name is one if an odd number of strings stand before it.
    """
    if "\\" in text or text.count("{") != 1 or "[" in text:
        return None
    found = []
    for name in names:
        place = text.find(f'"{name}"')
        colon = place + len(name) + 2
        string = _STRING.match(text, colon)
        if place < 0 or string is None or text.count('"', 0, place) % 2 or text.find(f'"{name}"', colon) >= 0:
            return None
        found.append((*string.span("value"), name))
    return sorted(found)


def _literal(old: str, new: str | int, ascii_only: bool) -> str:
    """The new value written as the old one was: what both have in common at both ends keeps its spelling."""
    if not isinstance(new, str) or not old.startswith('"'):
        return json.dumps(new)
    if "\\" not in old:  # every character stands for itself, and is written so again
        return json.dumps(new, ensure_ascii=ascii_only)
    units = _UNIT.findall(old[1:-1])
    text = json.loads(old)
    if len(units) != len(text):  # half a surrogate pair: spelt anew
        return json.dumps(new, ensure_ascii=ascii_only)
    head = _alike(text, new)
    tail = _alike(text[head:][::-1], new[head:][::-1])
    middle = json.dumps(new[head : len(new) - tail], ensure_ascii=ascii_only)[1:-1]
    return '"' + "".join([*units[:head], middle, *units[len(units) - tail :]]) + '"'


def _alike(one: str, other: str) -> int:
    """How many characters both begin with."""
    pairs = zip(one, other, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
