"""Sites that put one phrase in place of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from protect.alignments.sites.grammar import article
from protect.alignments.sites.lexicon import ADJECTIVES
from protect.alignments.sites.reading import BLANK, Reading
from protect.alignments.sites.site import FIRST, SECOND, Found

_BEFORE = rf"(?<![\w'’{BLANK}-])(?<!\w[.,&])"
_BEHIND = rf"(?![\w'’{BLANK}-])(?![.@]\w)"
_AN = re.compile(r"\ban? $")
_LAST = re.compile(r"(\w+) $")
_NEXT = re.compile(r" ([\w-]+)")
_MOST_ADJECTIVES = 2
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Behind:
    """What must follow a phrase: perhaps a determiner, perhaps adjectives, then one of some words."""

    words: frozenset[str]
    determiners: frozenset[str] = _NONE
    """One of them may stand there; with "" among them none need to, and if there are none, none may."""
    unknown: bool = False
    """Whether one word that is not known as an adjective may stand there too."""

    def follows(self, plain: str, end: int) -> bool:
        """Whether it follows in a text in lower case."""
        match = _NEXT.match(plain, end)
        if match and self.determiners:
            if match[1] in self.determiners:
                match = _NEXT.match(plain, match.end())
            elif "" not in self.determiners:
                return False
        strange = not self.unknown
        for _ in range(_MOST_ADJECTIVES + 1):
            if match is None or match[1] in self.words:
                return match is not None
            if match[1] not in ADJECTIVES:
                if strange:
                    return False
                strange = True
            match = _NEXT.match(plain, match.end())
        return False


@dataclass(frozen=True)
class Swap:
    """Puts phrases in place of others, at the first place or wherever they stand.

    "a" and "an" before the phrase are put right.
    """

    pairs: Mapping[str, str] = field(hash=False)
    """First sides and second sides; in lower case but for abbreviations."""
    pattern: str = ""
    """What must follow, as a regular expression that takes no characters."""
    behind: Behind | None = None
    """What must follow, as words."""
    after: frozenset[str] = _NONE
    """The word before must be one of these, if there are any."""
    not_after: frozenset[str] = _NONE
    """The word before must be none of these."""
    everywhere: bool = False
    """All places, which then must have the same side."""
    unless: frozenset[str] = _NONE
    """Words that must not be in the caption."""

    @cached_property
    def _turns(self) -> Mapping[str, tuple[int, str, str]]:
        """For each phrase in lower case its side, itself, and the phrase of the other side."""
        first = {a.lower(): (FIRST, a, b) for a, b in self.pairs.items()}
        return first | {b.lower(): (SECOND, b, a) for a, b in self.pairs.items()}

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        """Any of the phrases; made when first looked for, since commands that read no captions load all sites, too."""
        spelt = "|".join(re.escape(phrase) for phrase in sorted(self._turns, key=lambda phrase: (-len(phrase), phrase)))
        return re.compile(rf"{_BEFORE}(?:{spelt}){_BEHIND}{self.pattern}")

    def __call__(self, reading: Reading) -> Found | None:
        """Where one of the phrases stands first, or all of them."""
        if self.unless and not self.unless.isdisjoint(reading.said):
            return None
        edits: list[tuple[int, int, str]] = []
        sides: set[int] = set()
        for match in self._compiled.finditer(reading.plain):
            if not self._fits(reading.plain, *match.span()):
                continue
            side, own, other = self._turns[match[0]]
            edit = exchange(reading, *match.span(), other)
            if edit is None or (own != match[0] and own != reading.text[slice(*match.span())]):
                return None
            edits.append(edit)
            sides.add(side)
            if not self.everywhere:
                break
        return Found(sides.pop(), tuple(edits)) if len(sides) == 1 else None

    def _fits(self, plain: str, start: int, end: int) -> bool:
        if self.after or self.not_after:
            last = _LAST.search(plain, max(0, start - 30), start)
            word = last[1] if last else ""
            if word in self.not_after or (self.after and word not in self.after):
                return False
        return self.behind is None or self.behind.follows(plain, end)

    def words(self) -> frozenset[str]:
        """The longest word of every phrase: captions without any of them have no place."""
        return frozenset(max(Reading(phrase).said, key=len) for phrase in self._turns)


def exchange(reading: Reading, start: int, end: int, other: str) -> tuple[int, int, str] | None:
    """What puts another phrase in place, with its capital and with the article before it.

    None if it is not sure which article belongs there, or if another one stands there now.
    """
    if reading.is_capital(start) and not reading.is_capital(start + 1):
        other = other[:1].upper() + other[1:]
    before = _AN.search(reading.plain, max(0, start - 3), start)
    if before is None:
        return start, end, other
    was, now = article(reading.plain[start:end]), article(other.lower())
    if was == now:
        return start, end, other
    if was is None or now is None or before[0] != f"{was} ":
        return None
    return before.start(), end, f"{reading.text[before.start()]}{now[1:]} {other}"
