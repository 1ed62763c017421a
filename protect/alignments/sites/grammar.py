"""The little grammar that sites need: a or an, noun phrases, whether a text is a phrase or a clause."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protect.alignments.sites.lexicon import (
    ADJECTIVES,
    ARTICLES,
    FINITE,
    NOUNS,
    NUMBERS,
    PARTICIPLES,
    PASTS,
    PLURAL,
    PREPOSITIONS,
    RELATIVES,
    SINGULAR,
    UNIQUE,
)
from protect.alignments.sites.reading import Reading

_SAID_WITH_CONSONANT = re.compile(r"uni(?!n|m)|us[aeiu]|ut[ei]|eu|ewe|one|once|ubi|ufo|uk|ur[aeiou]n")
_MUTE_H = re.compile(r"hour|honest|honou?r|heir(?!l)|heirloom")
_DOUBTFUL = re.compile(r"herb|histor|hotel|[^a-z]|[a-z]\b|8|11|18|u[a-z]{0,2}\b")
_MOST_ADJECTIVES = 3
_PARTITIVES = frozenset({"couple", "bunch", "pair"})
_POSSESSIVES = frozenset({"his", "her", "their", "its", "my", "our", "your", "some", "this", "that", "each", "another"})
_HOLD_NOUNS = ARTICLES | NUMBERS | PREPOSITIONS | _POSSESSIVES | {"and", "or"}
"""Words in front of which a noun ends and behind which no verb begins."""
_KNOWN = (
    _HOLD_NOUNS
    | NOUNS
    | ADJECTIVES
    | RELATIVES
    | PASTS
    | PARTICIPLES.keys()
    | {"all", "both", "together", "each", "but"}
)
_NO_MODIFIER = (
    _HOLD_NOUNS
    | RELATIVES
    | PASTS
    | PARTICIPLES.keys()
    | {"is", "are", "not", "very", "there", "here", "who", "one"}
    | {"every", "no", "any", "other", "more", "several", "many", "few", "both", "all"}
)


def is_partitive(reading: Reading, found: NounPhrase) -> bool:
    """Whether this is "a couple of …", whose sense is that of a number."""
    return reading.said[found.head] in _PARTITIVES and reading.said[found.head + 1 : found.head + 2] == ["of"]


def article(word: str) -> str | None:
    """ "a" or "an", whichever belongs before a word; None if that is not sure.

    >>> [article(word) for word in ("owl", "kite", "unicycle", "umbrella", "hour", "x", "herb")]
    ['an', 'a', 'a', 'an', 'an', None, None]
    """
    if not word or _DOUBTFUL.match(word):
        return None
    if _MUTE_H.match(word):
        return "an"
    return "an" if word[0] in "aeiou" and not _SAID_WITH_CONSONANT.match(word) else "a"


@dataclass(frozen=True, slots=True)
class NounPhrase:
    """A noun phrase all of whose words are known: an article or a number, adjectives, a noun."""

    start: int
    """Its first token."""
    head: int
    """Its noun."""
    determiner: str
    """ "a", "an", "the", a number or nothing."""
    plural: bool


def noun_phrase(reading: Reading, start: int, modifiers: bool = False, before_verbs: bool = False) -> NounPhrase | None:
    """The noun phrase that begins with a token, if it surely is one and surely ends with its noun.

    Args:
        reading: the caption.
        start: a token.
        modifiers: whether words that are not known may stand before a noun in the singular, as in "tobacco shop".
        before_verbs: whether it may end before a verb or "and", too.
    """
    key = (start, modifiers, before_verbs)
    return reading.once(key, lambda known: _noun_phrase(known, *key))


def _noun_phrase(reading: Reading, start: int, modifiers: bool, before_verbs: bool) -> NounPhrase | None:
    said = reading.said
    place = start
    determiner, modified = "", False
    if place < len(said) and (said[place] in ARTICLES or said[place] in NUMBERS):
        determiner, place = said[place], place + 1
    for _ in range(_MOST_ADJECTIVES + 1):
        if place >= len(said):
            return None
        word = said[place]
        if word in SINGULAR and _ends_a_phrase(said, place + 1, before_verbs):
            return NounPhrase(start, place, determiner, plural=False)
        if word in PLURAL and not modified and _ends_a_phrase(said, place + 1, before_verbs):
            return NounPhrase(start, place, determiner, plural=True)
        if word not in ADJECTIVES:
            if not modifiers or not _may_modify(word):
                return None
            modified = True
        place += 1
    return None


def _may_modify(word: str) -> bool:
    """Whether a word that is not known may belong to a noun behind it and be no verb, superlative or plural."""
    if not word.isascii() or not word.isalpha() or word in _NO_MODIFIER or word in FINITE or word in UNIQUE:
        return False
    return word not in PLURAL and not word.endswith(("s", "ing", "est", "ly"))


def _ends_a_phrase(said: list[str], place: int, before_verbs: bool) -> bool:
    """Whether a noun phrase ends before a token."""
    if place >= len(said):
        return True
    word = said[place]
    if word == ".":
        return place + 1 == len(said)
    if before_verbs and (word in FINITE or word == "and"):
        return True
    return word in PREPOSITIONS or word in RELATIVES or word in PARTICIPLES or word in PASTS


def is_phrase(reading: Reading, start: int = 0) -> bool:
    """Whether all from a token on surely is a phrase without a verb: no clause, no list, no second sentence."""
    return reading.once(("is a phrase", start), lambda known: _is_phrase(known, start))


def _is_phrase(reading: Reading, start: int) -> bool:
    said = reading.said[start:]
    if reading.is_list or not FINITE.isdisjoint(_outside_relative_clauses(said)):
        return False
    if any(_may_be_verb(said, place) for place in range(1, len(said))):
        return False
    return not any(mark in said[:-1] for mark in ".!?;:") and not (said and said[-1] in "!?;:")


def _may_be_verb(said: list[str], place: int) -> bool:
    """Whether a word that is not known might be a verb: "examines", "mingle" in "people mingle"."""
    word, before = said[place], said[place - 1]
    if not word[0].isalpha() or word in _KNOWN or word.endswith("ing"):
        return False
    if before in PLURAL:
        return True
    if not word.endswith(("s", "ed")) or before in _HOLD_NOUNS or not before[0].isalpha():
        return False
    return place + 1 == len(said) or said[place + 1] in _HOLD_NOUNS or said[place + 1] == "."


def _outside_relative_clauses(said: list[str]) -> list[str]:
    """Words but for the verb that stands right behind "who" or "that"."""
    return [word for i, word in enumerate(said) if not i or said[i - 1] not in ("who", "that", "which")]
