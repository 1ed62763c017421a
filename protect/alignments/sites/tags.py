"""Sites of tag lists: the order of neighbours, separators, underscores, escaped brackets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from protect.alignments.sentences import separator
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found, Site

_UNDERSCORE = re.compile(r"(?<=[^\W\d_]{2})_(?=[^\W_]{2}|\\?\()|(?<=\d)_(?=[^\W\d_]{2})")
_SPACE = re.compile(r"(?<=[^\W\d_]{2}) (?=[^\W_]{2}|\\?\()|(?<=\d) (?=[^\W\d_]{2})")
_ESCAPED = re.compile(r"\\([()])")
_PLAIN = re.compile(r"(?<!\\)([()])")
_WEIGHT = re.compile(r":\d|[\[\]{}<>\"“”«»`]")
_PROSE = re.compile(r"\b(?:the|a|an)\b", re.IGNORECASE)
"""Prompt weights, models, quotations and articles: a list with them is left alone."""


@dataclass(frozen=True, slots=True)
class TagList:
    """A list of tags that are all separated alike."""

    start: int
    """Where the first tag starts."""
    tags: tuple[str, ...]
    between: str
    """What separates them, with its spaces."""
    trailing: bool
    """Whether a separator stands at the end."""

    @property
    def end(self) -> int:
        """Where the last tag ends."""
        return self.start + len(self.between.join(self.tags))

    def place(self, number: int) -> int:
        """Where a tag starts."""
        return self.start + sum(len(tag) + len(self.between) for tag in self.tags[:number])


def tag_list(reading: Reading) -> TagList | None:
    """The tags of a caption; None if it is no list, if they are separated in different ways, or if it holds weights."""
    body = reading.text.strip()
    if not reading.is_list or _WEIGHT.search(body) or _PROSE.search(body):
        return None
    between = separator(body)
    if between is None:
        return None
    mark = between.strip()
    trailing = body.endswith(mark)
    inner = body.removesuffix(mark)
    tags = tuple(inner.split(between))
    if any(mark in tag or tag != tag.strip() or not tag for tag in tags):
        return None
    return TagList(reading.text.index(body), tags, between, trailing)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """A choice between two orders of two neighbours: the first side is the order of the alphabet.

    The first tag never moves: it is a trigger in many datasets, and trainers keep it in its place.
    """

    number: int
    """Of the first of the two, from 0."""

    def __call__(self, reading: Reading) -> Found | None:
        """The two tags."""
        found = tag_list(reading)
        if found is None or self.number + 1 >= len(found.tags):
            return None
        one, two = found.tags[self.number : self.number + 2]
        keys = _key(one), _key(two)
        if keys[0] == keys[1] or not (_may_move(one) and _may_move(two)):
            return None
        start = found.place(self.number)
        end = start + len(one) + len(found.between) + len(two)
        return Found(FIRST if keys[0] < keys[1] else SECOND, ((start, end, f"{two}{found.between}{one}"),))


def _key(tag: str) -> str:
    """Letters and digits alone, so that no other site of tags changes the order."""
    return "".join(c for c in tag.casefold() if c.isalnum())


def _may_move(tag: str) -> bool:
    """Whether a tag is whole and no name: "Paris, France" has its order."""
    return tag.count("(") == tag.count(")") and tag == tag.lower()


@dataclass(frozen=True, slots=True)
class Space:
    """A choice between a space and none behind each separator."""

    def __call__(self, reading: Reading) -> Found | None:
        """Behind all separators."""
        found = tag_list(reading)
        if found is None or len(found.tags) < 3 or found.between not in (", ", ",", "; ", ";"):
            return None
        mark, spaced = found.between.strip(), found.between.endswith(" ")
        places = [found.place(number) for number in range(1, len(found.tags))]
        edits = tuple((at - len(found.between), at, mark if spaced else f"{mark} ") for at in places)
        return Found(FIRST if spaced else SECOND, edits)


@dataclass(frozen=True, slots=True)
class Trailing:
    """A choice between no separator at the end and one."""

    def __call__(self, reading: Reading) -> Found | None:
        """Behind the last tag."""
        found = tag_list(reading)
        if found is None:
            return None
        if found.trailing:
            return Found(SECOND, ((found.end, found.end + len(found.between.rstrip()), ""),))
        return Found(FIRST, ((found.end, found.end, found.between.rstrip()),))


@dataclass(frozen=True, slots=True)
class Underscores:
    """A choice between underscores and spaces inside tags without capitals; faces such as ^_^ stay."""

    def __call__(self, reading: Reading) -> Found | None:
        """Inside all tags."""
        if reading.text != reading.text.lower():
            return None
        return _inside(reading, lambda tag: _matches(_UNDERSCORE, tag, " "), lambda tag: _matches(_SPACE, tag, "_"))


@dataclass(frozen=True, slots=True)
class EscapedBrackets:
    r"""A choice between "\(" and "(" inside tags."""

    def __call__(self, reading: Reading) -> Found | None:
        """All brackets."""
        return _inside(reading, lambda tag: _matches(_ESCAPED, tag, r"\1"), lambda tag: _matches(_PLAIN, tag, r"\\\1"))


_Edits = list[tuple[int, int, str]]


def _matches(pattern: re.Pattern[str], tag: str, new: str) -> _Edits:
    return [(match.start(), match.end(), match.expand(new)) for match in pattern.finditer(tag)]


def _inside(reading: Reading, first: Callable[[str], _Edits], second: Callable[[str], _Edits]) -> Found | None:
    """All edits inside tags if they all have the same side."""
    found = tag_list(reading)
    if found is None:
        return None
    edits: tuple[_Edits, _Edits] = ([], [])
    for number, tag in enumerate(found.tags):
        at = found.place(number)
        for side, pieces in enumerate((first(tag), second(tag))):
            edits[side].extend((at + start, at + end, new) for start, end, new in pieces)
    if bool(edits[FIRST]) == bool(edits[SECOND]):
        return None
    side = FIRST if edits[FIRST] else SECOND
    return Found(side, tuple(edits[side]))


def tag_sites() -> tuple[Site, ...]:
    """All sites of tag lists, in an order that stays."""
    return (
        Site("tags: order of the second and the third", Neighbours(1)),
        Site("tags: order of the fourth and the fifth", Neighbours(3)),
        Site("tags: order of the sixth and the seventh", Neighbours(5)),
        Site("tags: separator with a space|without", Space()),
        Site("tags: underscores|spaces", Underscores()),
        Site(r"tags: brackets \(escaped\)|(plain)", EscapedBrackets()),
        Site("tags: separator at the end none|one", Trailing()),
    )
