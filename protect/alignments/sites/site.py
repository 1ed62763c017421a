"""A site: a choice between two ways to say the same, and how a caption is turned from one to the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from protect.alignments.sites.reading import Reading, read

FIRST, SECOND = 0, 1


class Found(NamedTuple):
    """Where a site fits a caption, which side the caption has, and what would turn it."""

    side: int
    """0 or 1."""
    edits: tuple[tuple[int, int, str], ...]
    """From where to where, and what stands there on the other side; in order, without overlap, at least one."""

    def applied(self, text: str) -> str:
        """The caption with the other side."""
        pieces, end = [], 0
        for start, stop, new in self.edits:
            pieces += [text[end:start], new]
            end = stop
        return "".join([*pieces, text[end:]])


class Finder(Protocol):
    """What looks for the place of a site. A pure function that can be pickled."""

    def __call__(self, reading: Reading) -> Found | None:
        """Where it fits; None if it does not."""


@dataclass(frozen=True, slots=True)
class Site:
    """A choice between two ways to say the same.

    These laws hold for every site, every caption that it fits and both sides s, whatever its finder does, because a
    site does not fit where turning there and back would not give the same caption again:

    * `state(turned(c, s)) == s`,
    * `turned(turned(c, 1 - s), s) == turned(c, s)`,
    * `turned(c, state(c)) == c`.
    """

    name: str
    """Stable and printable, such as "lead: none|pictured:"; what a commitment holds."""
    finder: Finder = field(compare=False, repr=False)
    """Looks for the place."""
    words: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """In lower case: a caption without any of them has no place for this site. Empty: every caption may have one."""

    certain: bool = field(default=False, compare=False, repr=False)
    """Whether all that its finder finds in simple captions (`Reading.simple`) can be turned back."""

    def found(self, caption: str) -> Found | None:
        """Where the site fits, if it does so and can be turned back."""
        reading = read(caption)
        found = self.finder(reading)
        if found is None or (self.certain and reading.simple):
            return found
        other = found.applied(caption)
        back = self.finder(read(other))
        if back is None or back.side == found.side or back.applied(other) != caption:
            return None
        return found

    def state(self, caption: str) -> int | None:
        """0 for the first side, 1 for the second, None if the site does not fit this caption."""
        found = self.found(caption)
        return None if found is None else found.side

    def turned(self, caption: str, side: int) -> str:
        """A caption with one of the sides; the caption itself if it has that side, or if the site does not fit.

        Args:
            caption: any text.
            side: 0 or 1.
        """
        found = self.found(caption)
        return caption if found is None or found.side == side else found.applied(caption)

    def place(self, caption: str) -> int | None:
        """How many words stand before the place where the site acts; None if the site does not fit."""
        found = self.found(caption)
        return None if found is None else words_before(caption, found.edits[0][0])


def words_before(caption: str, place: int) -> int:
    """How many words begin before a character, and end there.

    >>> words_before("a red kite", 0), words_before("a red kite", 2), words_before("a red kite", 10)
    (0, 1, 3)
    """
    return len(caption[:place].split()) if place else 0
