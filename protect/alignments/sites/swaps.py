"""Sites that put one phrase in place of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from protect.alignments.sites.grammar import article
from protect.alignments.sites.reading import BLANK, Reading
from protect.alignments.sites.site import FIRST, SECOND, Found

WORD_BEFORE = rf"(?<![\w'’{BLANK}-])(?<!\w[.,&])"
"""Where a word begins that may be changed."""
_BEHIND = rf"(?![\w'’{BLANK}-])(?![.@]\w)"
_AN = re.compile(r"\ban? $")


@dataclass(frozen=True, slots=True)
class Swap:
    """Puts phrases in place of others, at the first place or wherever they stand.

    "a" and "an" before the phrase are put right.
    """

    pairs: Mapping[str, str] = field(hash=False)
    """First sides and second sides, in lower case."""
    before: str = ""
    """A regular expression for what stands before; what matches stays."""
    behind: str = ""
    """A regular expression for what must follow."""
    everywhere: bool = False
    """All places, which then must have the same side."""
    unless: frozenset[str] = frozenset()
    """Words in lower case that must not be in the caption."""
    pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)
    turns: Mapping[str, tuple[int, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        turns = {a.lower(): (FIRST, b) for a, b in self.pairs.items()} | {
            b.lower(): (SECOND, a) for a, b in self.pairs.items()
        }
        spelt = "|".join(re.escape(phrase) for phrase in sorted(turns, key=lambda p: (-len(p), p)))
        before = self.before or WORD_BEFORE
        object.__setattr__(self, "turns", turns)
        object.__setattr__(self, "pattern", re.compile(rf"{before}(?P<said>{spelt}){_BEHIND}{self.behind}"))

    def __call__(self, reading: Reading) -> Found | None:
        """Where one of the phrases stands first, or all of them."""
        if self.unless and not self.unless.isdisjoint(reading.said):
            return None
        edits: list[tuple[int, int, str]] = []
        sides: set[int] = set()
        for match in self.pattern.finditer(reading.plain):
            side, other = self.turns[match["said"]]
            edit = exchange(reading, *match.span("said"), other)
            if edit is None:
                return None
            edits.append(edit)
            sides.add(side)
            if not self.everywhere:
                break
        return Found(sides.pop(), tuple(edits)) if len(sides) == 1 else None

    def words(self) -> frozenset[str]:
        """The longest word of every phrase: captions without any of them have no place."""
        return frozenset(_telling(phrase) for phrase in self.turns)


def _telling(phrase: str) -> str:
    """The longest word of a phrase."""
    return max(Reading(phrase).said, key=len)


def exchange(reading: Reading, start: int, end: int, other: str) -> tuple[int, int, str] | None:
    """What puts another phrase in place, with its capital and with the article before it."""
    if reading.is_capital(start) and not reading.is_capital(start + 1):
        other = other[:1].upper() + other[1:]
    before = _AN.search(reading.plain, max(0, start - 3), start)
    if before is None:
        return start, end, other
    was, now = article(reading.plain[start:end]), article(other.lower())
    if was is None or now is None or before[0] != f"{was} ":
        return None if was != now else (start, end, other)
    if was == now:
        return start, end, other
    at = before.start()
    return at, end, f"{reading.text[at]}{now[1:]} {other}"
