"""Sites behind the first noun: "a man riding", "a man who is riding"; "a man is riding", "a man rides"."""

from __future__ import annotations

from dataclasses import dataclass

from protect.alignments.sites.grammar import NounPhrase, noun_phrase
from protect.alignments.sites.lexicon import (
    ADJECTIVES,
    ARTICLES,
    FINITE,
    NUMBERS,
    PARTICIPLES,
    PERSONS,
    PLURAL,
    SINGULAR,
)
from protect.alignments.sites.openings import opening
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found

_PEOPLE = frozenset({"men", "women", "children", "people"}) | {f"{word}s" for word in PERSONS if f"{word}s" in PLURAL}
_GROUPS = frozenset({"family", "crowd", "group", "team", "couple"})
_BEHIND_PARTICIPLES = (
    "cards machine path pole pool room board boots shoes area school stand station lane lights sticks instructor"
)
_COMPOUNDS = {(participle, noun) for participle in PARTICIPLES for noun in _BEHIND_PARTICIPLES.split()}
"""Where a participle belongs to the noun behind it: "playing cards"."""
_JOINTS = frozenset({"and", "but", "?"})
_STATES = frozenset(
    {
        "have",
        "contain",
        "include",
        "feature",
        "overlook",
        "surround",
        "cover",
        "show",
        "display",
        "tower",
        "lead",
        "head",
        "face",
        "go",
        "lay",
    }
)
"""Verbs that have another sense, or none, in one of the tenses."""
_IN_STATES = frozenset(participle for participle, verb in PARTICIPLES.items() if verb in _STATES - {"lay"})
_PRESENTERS = {("there", "is"), ("there", "are"), ("this", "is")}
_COPULAS = ("is", "are")


def _subject(reading: Reading) -> NounPhrase | None:
    opens = opening(reading)
    start = (
        opens.subject + 2 if tuple(reading.said[opens.subject : opens.subject + 2]) in _PRESENTERS else opens.subject
    )
    found = noun_phrase(reading, start)
    return None if found is None or reading.said[found.head] in _GROUPS else found


@dataclass(frozen=True, slots=True)
class RelativeClause:
    """A choice between "a man riding" and "a man who is riding", "dogs sleeping" and "dogs that are sleeping"."""

    persons: bool
    """Of persons, with "who", and not of animals and things, with "that"."""

    def __call__(self, reading: Reading) -> Found | None:
        """Behind the first noun."""
        found = _subject(reading)
        if found is None or found.head + 1 >= len(reading.said):
            return None
        said, head = reading.said, found.head
        if ((said[head] in PERSONS) or (said[head] in _PEOPLE)) != self.persons:
            return None
        who, copula = "who" if self.persons else "that", _COPULAS[found.plural]
        if tuple(said[head + 1 : head + 3]) in _COMPOUNDS or not _IN_STATES.isdisjoint(said[head + 1 : head + 4]):
            return None
        if said[head + 1] in PARTICIPLES:
            return Found(FIRST, ((reading.ends[head], reading.ends[head], f" {who} {copula}"),))
        if said[head + 1 : head + 3] == [who, copula] and said[head + 3 : head + 4] and said[head + 3] in PARTICIPLES:
            return Found(SECOND, ((reading.ends[head], reading.ends[head + 2], ""),))
        return None


@dataclass(frozen=True, slots=True)
class Tense:
    """A choice between "a man is riding" and "a man rides", "dogs are sleeping" and "dogs sleep"."""

    def __call__(self, reading: Reading) -> Found | None:
        """The verb behind the first noun phrase, if all the rest has no other."""
        said = reading.said
        start = opening(reading).subject
        found = _subject_of_clause(reading, start)
        if found is None:
            return None
        place = found.head + 1
        copula = _COPULAS[found.plural]
        if said[place] == copula and place + 1 < len(said) and said[place + 1] in PARTICIPLES:
            verb = _present(PARTICIPLES[said[place + 1]], found.plural)
            if PARTICIPLES[said[place + 1]] in _STATES:
                return None
            return self._found(reading, FIRST, place, place + 1, verb)
        participle = _OF_PRESENT[found.plural].get(said[place])
        return self._found(reading, SECOND, place, place, f"{copula} {participle}") if participle else None

    @staticmethod
    def words() -> frozenset[str]:
        """Every caption that fits has one of these words."""
        return frozenset({*_COPULAS, *_OF_PRESENT[False], *_OF_PRESENT[True]})

    def _found(self, reading: Reading, side: int, first: int, last: int, new: str) -> Found | None:
        rest = reading.said[last + 1 :]
        joined = not _JOINTS.isdisjoint(rest) and any(word in PARTICIPLES for word in rest)
        if joined or not FINITE.isdisjoint(rest):
            return None
        return Found(side, ((reading.starts[first], reading.ends[last], new),))


def _present(verb: str, plural: bool) -> str:
    if plural:
        return verb
    if verb == "have":
        return "has"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return f"{verb[:-1]}ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s")


_OF_PRESENT = tuple(
    {_present(verb, plural): participle for participle, verb in PARTICIPLES.items() if verb not in _STATES}
    for plural in (False, True)
)
"""Participles by the verb in the present, in the singular and in the plural."""


def _subject_of_clause(reading: Reading, start: int) -> NounPhrase | None:
    """The first noun phrase, when a verb stands behind it."""
    said = reading.said
    place = start
    determiner = ""
    if place < len(said) and (said[place] in ARTICLES or said[place] in NUMBERS):
        determiner, place = said[place], place + 1
    while place < len(said) - 1 and said[place] in ADJECTIVES and said[place] not in SINGULAR:
        place += 1
    if place >= len(said) - 1 or said[place] in _GROUPS:
        return None
    if said[place] in SINGULAR and determiner in ARTICLES:
        return NounPhrase(start, place, determiner, plural=False)
    return NounPhrase(start, place, determiner, plural=True) if said[place] in PLURAL else None
