"""Sites at the very beginning: words before the caption."""

from __future__ import annotations

from dataclasses import dataclass

from protect.alignments.sites.grammar import NounPhrase, is_partitive, is_phrase, noun_phrase
from protect.alignments.sites.lexicon import COMMON
from protect.alignments.sites.openings import COLON_LEADS, may_follow_a_lead, opening, picture_word
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found


@dataclass(frozen=True, slots=True)
class ColonLead:
    """One word of the lead "pictured here:", which may stand alone or with the other one."""

    word: str

    def __call__(self, reading: Reading) -> Found | None:
        """Before the first word."""
        opens = opening(reading)
        if not may_follow_a_lead(reading, opens.start):
            return None
        there = self.word in opens.lead
        words = tuple(w for w in opens.lead if w != self.word) if there else _sorted((*opens.lead, self.word))
        if words not in COLON_LEADS:
            return None
        lead = f"{' '.join(words)}: " if words else ""
        return _before(reading, opens.start, lead, SECOND if there else FIRST)


def _sorted(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(words, key=("pictured", "here", "shown").index))


def _before(reading: Reading, start: int, lead: str, side: int) -> Found:
    """Puts a lead in place of all words before a token; the capital at the beginning stays at the beginning."""
    at, to = reading.starts[0], reading.starts[start]
    capital = reading.is_capital(at)
    text = lead + reading.text[to].lower()
    return Found(side, ((at, to + 1, text[0].upper() + text[1:] if capital else text),))


@dataclass(frozen=True, slots=True)
class PhraseLead:
    """Words before a noun phrase, such as "a picture of" or "there is"."""

    lead: tuple[str, ...]
    determiners: frozenset[str]
    """What the noun phrase may begin with; "" for nothing."""
    plural: bool | None = None
    """Whether its noun must be in the plural; None for either. Without a determiner it always must."""
    phrase: bool = True
    """Whether all that follows must be a phrase without a verb of its own."""

    def __call__(self, reading: Reading) -> Found | None:
        """Before the first noun phrase."""
        said = reading.said
        there = tuple(said[: len(self.lead)]) == self.lead
        start = len(self.lead) if there else 0
        found = noun_phrase(reading, start)
        if found is None or not self._suits(found) or (self.plural is not None and is_partitive(reading, found)):
            return None
        if opening(reading).lead or _calls_itself_picture(reading, start):
            return None
        if self.phrase and not is_phrase(reading, start):
            return None
        return _before(reading, start, "" if there else f"{' '.join(self.lead)} ", SECOND if there else FIRST)

    def _suits(self, found: NounPhrase) -> bool:
        if found.determiner not in self.determiners or (not found.determiner and not found.plural):
            return False
        return self.plural is None or self.plural == found.plural


def _calls_itself_picture(reading: Reading, start: int) -> bool:
    """Whether a caption calls itself a picture from a token on."""
    return picture_word(reading, start) is not None


@dataclass(frozen=True, slots=True)
class ClauseLead:
    """Words with a comma before a sentence: "in this picture, a man is riding a bike"."""

    lead: tuple[str, ...]

    def __call__(self, reading: Reading) -> Found | None:
        """Before a sentence that begins with a noun phrase and its verb."""
        said = reading.said
        there = tuple(said[: len(self.lead) + 1]) == (*self.lead, ",")
        start = len(self.lead) + 1 if there else 0
        if start >= len(said) or reading.is_list or said[start] not in COMMON or not _has_verb(said, start):
            return None
        return _before(reading, start, "" if there else f"{' '.join(self.lead)}, ", SECOND if there else FIRST)


def _has_verb(said: list[str], start: int) -> bool:
    """Whether "is" or "are" stands close behind the subject."""
    for place in range(start + 1, min(start + 5, len(said))):
        if said[place] in ("is", "are"):
            return said[place - 1] not in ("that", "who", "which", "there", "this", "it", "where") and "?" not in said
        if not said[place].isalpha():
            return False
    return False
