"""Sites around the word for the picture: "a photo of a kite", "a photo showing a kite", "a kite, photo"."""

from __future__ import annotations

from dataclasses import dataclass

from protect.alignments.sites.lexicon import ARTICLES, COMMON, PICTURES
from protect.alignments.sites.openings import has_verb, opening, picture_word
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found
from protect.alignments.sites.swaps import exchange

_SHOW = PICTURES - {"portrait", "depiction", "rendering", "close-up", "closeup", "caricature"}


@dataclass(frozen=True, slots=True)
class Link:
    """A choice between "of" and another word behind the word for the picture."""

    second: str

    def __call__(self, reading: Reading) -> Found | None:
        """Behind the word for the picture."""
        opens = opening(reading)
        if opens.picture is None or reading.said[opens.picture] not in _SHOW or has_verb(reading):
            return None
        first, last = opens.picture + 1, opens.subject - 1
        link = " ".join(reading.said[first : last + 1])
        if link not in ("of", self.second):
            return None
        side = FIRST if link == "of" else SECOND
        return Found(side, ((reading.starts[first], reading.ends[last], "of" if side else self.second),))


@dataclass(frozen=True, slots=True)
class PictureNoun:
    """A choice between two words for the picture itself, with the article before it put right."""

    first: str
    second: str

    def __call__(self, reading: Reading) -> Found | None:
        """At the opening, if something is linked to it."""
        at = opening(reading).picture
        if at is None or reading.said[at] not in (self.first, self.second):
            return None
        side = FIRST if reading.said[at] == self.first else SECOND
        edit = exchange(reading, reading.starts[at], reading.ends[at], (self.first, self.second)[1 - side])
        return None if edit is None else Found(side, (edit,))


@dataclass(frozen=True, slots=True)
class Order:
    """A choice between "a photo of a kite" and "a kite, a photo"."""

    def __call__(self, reading: Reading) -> Found | None:
        """The whole of a caption that is one phrase without a comma."""
        if reading.is_list or any(mark in reading.said for mark in '.!?;:"()'):
            return None
        return _behind(reading) or _in_front(reading)


def _in_front(reading: Reading) -> Found | None:
    """The word for the picture stands first."""
    said, opens = reading.said, opening(reading)
    if opens.picture is None or said[opens.picture + 1] != "of" or "," in said:
        return None
    name = reading.text[reading.starts[0] : reading.ends[opens.picture]]
    shown = reading.text[reading.starts[opens.subject] : reading.ends[-1]]
    return _exchanged(reading, said[0], said[opens.subject], name, shown, ", ", FIRST)


def _behind(reading: Reading) -> Found | None:
    """What is shown stands first."""
    said = reading.said
    if said.count(",") != 1:
        return None
    comma = said.index(",")
    picture = picture_word(reading, comma + 1)
    if comma == 0 or picture is None or picture != len(said) - 1:
        return None
    name = reading.text[reading.starts[comma + 1] : reading.ends[-1]]
    shown = reading.text[reading.starts[0] : reading.ends[comma - 1]]
    return _exchanged(reading, said[0], said[comma + 1], shown, name, " of ", SECOND)


def _exchanged(
    reading: Reading, first: str, second: str, words: str, others: str, between: str, side: int
) -> Found | None:
    """Two parts exchanged; the first word's capital stays at the beginning."""
    start, end = reading.starts[0], reading.ends[-1]
    if reading.is_capital(start):
        if first not in COMMON or second not in COMMON or not (first in ARTICLES or side == FIRST or first in COMMON):
            return None
        words, others = words[0].lower() + words[1:], others[0].upper() + others[1:]
    return Found(side, ((start, end, f"{others}{between}{words}"),))
