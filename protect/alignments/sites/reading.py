"""A caption as sites read it: in lower case, and blank where nothing may be changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import cached_property, lru_cache
from typing import TypeVar

from protect.alignments.scripts import _OTHER_LANGUAGES, not_english
from protect.alignments.sentences import endings, separator
from protect.alignments.sites.lexicon import COMPOUNDS, OPENERS

BLANK = "\ue000"
"""Stands for every character of what must stay as it is. It is no letter, digit or space."""
_SIMPLE = re.compile(r"\s*[A-Za-z][a-z]*(?:['-][a-z]+)*(?:[,:]? (?:\d+|[a-z]+(?:['-][a-z]+)*))*\.?\s*")
"""Captions in which hyphenated compounds and long numbers alone must stay: no quotation, no name, no capital inside."""
_HYPHENATED_OR_LONG = re.compile(r"[a-z]+(?:'[a-z]+)*-[a-z'-]+|\d{3,}")
_QUOTED = (
    r"\"[^\"]*(?:\"|$)|“[^”]*(?:”|$)|„[^“”]*(?:[“”]|$)|«[^»]*(?:»|$)|‹[^›]*(?:›|$)|「[^」]*(?:」|$)|`[^`]*(?:`|$)"
    r"|(?<![\w.])['‘](?=\S)[^'’]*(?:['’](?=[st]\b)[^'’]*)*(?:['’](?!\w)|$)"
)
_ADDRESSES = r"\w+://\S+|www\.\S+|\S*\w@\w\S*|[@#]\w\S*|<[^>]*>|\w+(?:\.\w+)+(?:/\S*)?|\S*[/\\_=]\S*"
_WORD = r"\w+(?:['’\-–]\w+)*"
_ORDINARY = r"(?:[a-z]+|\d{1,2})"
_RUN = rf"{_ORDINARY}(?:[,;:.!?]? {_ORDINARY})*(?=[,;:.!?]?(?: |\Z))"
"""Words of which none may be blank, as many as follow each other: nearly all of a caption, found at once."""
_PIECES = re.compile(
    rf"{_RUN}|(?P<kept>{_QUOTED}|{_ADDRESSES})|(?P<number>[$€£]?\d+(?:[.,:]\d+)*(?![\w-])%?)|(?P<word>{_WORD})"
)
_KEPT = re.compile(rf"{_QUOTED}|{_ADDRESSES}")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*|\d+|[^\s]")
_KNOWN_CAPITALS = frozenset({"TV", "TVs", "T-shirt", "T-shirts", "OK"})


_T = TypeVar("_T")


class Reading:
    """A caption as sites read it.

    Quotations, addresses, code, names, numbers with more than two digits and hyphenated compounds are blank.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.simple = _SIMPLE.fullmatch(text) is not None
        """Whether hyphenated compounds and long numbers are all that must stay."""
        self.plain = _simply(text) if self.simple else _plain(text)
        """The caption in lower case with blanks; as long as the caption, character by character."""
        self.known: dict[Hashable, object] = {}
        """What was found out about the caption, so that it is found out once."""

    @cached_property
    def said(self) -> list[str]:
        """Words, numbers and marks, in order."""
        return _TOKEN.findall(self.plain)

    @cached_property
    def starts(self) -> list[int]:
        """Where each of them starts."""
        return [match.start() for match in _TOKEN.finditer(self.plain)]

    @cached_property
    def ends(self) -> list[int]:
        """Where each of them ends."""
        return [start + len(word) for start, word in zip(self.starts, self.said, strict=True)]

    @cached_property
    def shown(self) -> str:
        """The caption as it is written, with blanks for quotations, addresses and code alone."""
        return _KEPT.sub(lambda match: BLANK * len(match[0]), self.text)

    @cached_property
    def is_list(self) -> bool:
        """Whether this is a list of tags."""
        return is_list(self.text)

    @cached_property
    def foreign(self) -> bool:
        """Whether this is not English."""
        sure = self.text.isascii() and _OTHER_LANGUAGES.isdisjoint(self.said)
        return not sure and not_english(self.text) is not None

    def once(self, key: Hashable, find: Callable[[Reading], _T]) -> _T:
        """What a function finds in this caption, found once under its key."""
        try:
            return self.known[key]  # type: ignore[return-value]
        except KeyError:
            found = self.known[key] = find(self)
            return found

    def is_capital(self, place: int) -> bool:
        """Whether a capital stands at a character."""
        return self.text[place : place + 1].isupper()


def is_list(text: str) -> bool:
    """Whether a text is a list of tags."""
    return (not text.isascii() or any(c in text for c in ",|;")) and separator(text.strip()) is not None


@lru_cache(maxsize=4_096)
def read(text: str) -> Reading:
    """A caption as sites read it; remembered for a while, because many sites ask about one caption."""
    return Reading(text)


def _simply(text: str) -> str:
    plain = text.lower()
    return _HYPHENATED_OR_LONG.sub(_unless_known, plain)


def _unless_known(match: re.Match[str]) -> str:
    return match[0] if match[0] in COMPOUNDS else BLANK * len(match[0])


def _plain(text: str) -> str:
    """A caption in lower case, of the same length, with blanks for what must stay.

    >>> _plain('Two dogs near "Two dogs" in New York, 12 cats, 1999').replace(BLANK, "_")
    'two dogs near __________ in ___ ____, 12 cats, ____'
    """
    kept: list[str] = []
    ends: list[int] | None = None
    after = 0
    for match in _PIECES.finditer(text):
        if match.lastgroup is None:
            kept.append(text[after : match.end()])
            after = match.end()
            continue
        opening = after == 0
        if not opening and match[0][0].isupper():
            ends = [ending.end for ending in endings(text)] if ends is None else ends
            opening = any(after <= end <= match.start() for end in ends)
        kept.append(text[after : match.start()])
        kept.append(BLANK * len(match[0]) if _stays(match, opening, text) else match[0])
        after = match.end()
    shown = "".join([*kept, text[after:]])
    plain = shown.lower()
    return plain if len(plain) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in shown)


def _stays(match: re.Match[str], opening: bool, text: str) -> bool:
    """Whether a piece of a caption must not be changed."""
    if match["kept"] is not None:
        return True
    if match["number"] is not None:
        return not match[0].isdecimal() or len(match[0]) > 2
    word = match[0]
    if word in _KNOWN_CAPITALS or word.lower() in COMPOUNDS:
        return False
    if "-" in word or "–" in word or "_" in word or any(c.isdigit() for c in word):
        return True
    if word == word.lower():
        return False
    if not opening or (len(word) > 1 and word != word.capitalize()):
        return True
    return word.lower() not in OPENERS and _capital_follows(text, match.end())


def _capital_follows(text: str, end: int) -> bool:
    """Whether the next word begins with a capital too, as in a name of several words."""
    rest = text[end:]
    return rest[:1] == " " and rest[1:2].isupper() and not re.match(r"I\b", rest[1:])
