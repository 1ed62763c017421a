"""How captions open: a lead with a colon, what they call the picture, and the first thing in it."""

from __future__ import annotations

from typing import NamedTuple

from protect.alignments.sites.lexicon import (
    ARTICLES,
    COMMON,
    NOUNS,
    NUMBERS,
    PARTICIPLES,
    PICTURES,
    PREPOSITIONS,
    RELATIVES,
    words_of,
)
from protect.alignments.sites.reading import BLANK, Reading

COLON_LEADS = ((), ("pictured",), ("here",), ("pictured", "here"), ("shown",))
"""Words that may stand with a colon before any caption."""
_COPULAS = frozenset({"is", "are", "was", "were", "has", "have", "had"})
_MOST_MODIFIERS = 4
_LINKS = (("of",), ("showing",), ("depicting",), ("that", "shows"))
_NO_MODIFIER = (
    ARTICLES
    | NUMBERS
    | PREPOSITIONS
    | RELATIVES
    | words_of(
        "and or but my his her its our your their this these those some any every each no many several is are was were "
        "another all both more has have had there here it he she they we i one"
    )
)
"""Words that do not stand between an article and the word for the picture."""
_NO_START = (
    PREPOSITIONS
    | RELATIVES
    | words_of(
        "there this these those it he she they we i you what when how why and or but if because not is are do does "
        "please let here pictured shown seen it's there's that's he's she's they're i'm we're so then also very just "
        "only can could will would should may now today see look looking taken made"
    )
)
"""Words with which a caption begins that cannot stand behind "Pictured:"."""


class Opening(NamedTuple):
    """How a caption opens; all numbers count tokens of the reading."""

    lead: tuple[str, ...]
    """Words before a colon, from `COLON_LEADS`."""
    start: int
    """The first token behind the lead."""
    picture: int | None
    """The word for the picture: "photo" in "a photo of a kite"."""
    subject: int
    """The first token of what is shown."""


def opening(reading: Reading) -> Opening:
    """How a caption opens."""
    return reading.once("opening", _opening)


def _opening(reading: Reading) -> Opening:
    said = reading.said
    lead: tuple[str, ...] = ()
    for words in COLON_LEADS if ":" in said else ():
        if words and tuple(said[: len(words) + 1]) == (*words, ":"):
            lead = words
    start = len(lead) + 1 if lead else 0
    picture = None if PICTURES.isdisjoint(said) else picture_word(reading, start)
    link = _link(said, picture + 1) if picture is not None else None
    if picture is None or link is None:
        return Opening(lead, start, None, start)
    return Opening(lead, start, picture, picture + 1 + link)


def picture_word(reading: Reading, start: int) -> int | None:
    """The token that names the picture, if modifiers alone stand between it and an article at `start`."""
    said = reading.said
    place = start + 1 if start < len(said) and said[start] in ARTICLES else start
    for at in range(place, min(place + _MOST_MODIFIERS, len(said))):
        word = said[at]
        if word in PICTURES:
            following = said[at + 1] if at + 1 < len(said) else ""
            if following not in PICTURES:
                return at
        elif not _may_modify(word) and said[at - 1 : at + 2] != ["black", "and", "white"]:
            return None
    return None


def _may_modify(word: str) -> bool:
    if word in _NO_MODIFIER or word in PARTICIPLES or word[0] == BLANK:
        return False
    return word.isalpha() or "-" in word


def has_verb(reading: Reading) -> bool:
    """Whether "is" or the like stands in a caption outside relative clauses, so that it is a sentence."""
    return reading.once("has a verb", _has_verb)


def _has_verb(reading: Reading) -> bool:
    said = reading.said
    return any(word in _COPULAS and said[place - 1] not in RELATIVES for place, word in enumerate(said))


def _link(said: list[str], place: int) -> int | None:
    """How many tokens link the word for the picture to what is shown; None if nothing does."""
    for words in _LINKS:
        if tuple(said[place : place + len(words)]) == words and place + len(words) < len(said):
            if said[place + len(words)] == "the" and said[place + len(words) + 1 : place + len(words) + 2] == ["day"]:
                return None
            return len(words)
    return None


def may_follow_a_lead(reading: Reading, start: int) -> bool:
    """Whether a caption can stand behind "Pictured:": it names something, and its first word is no name."""
    return reading.once(("may follow", start), lambda known: _may_follow_a_lead(known, start))


def _may_follow_a_lead(reading: Reading, start: int) -> bool:
    said = reading.said
    if start >= len(said) or reading.is_list or ":" in said[start:] or "?" in said or "!" in said:
        return False
    word = said[start]
    if not word.isascii() or not word.isalpha() or word in _NO_START:
        return False
    if word.endswith(("ing", "ly")) and word not in COMMON:
        return False
    return word in COMMON or word in NOUNS or not reading.is_capital(reading.starts[0])
