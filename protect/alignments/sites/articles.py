"""Sites of articles: before the word for the picture, and before the first thing that it shows."""

from __future__ import annotations

from dataclasses import dataclass

from protect.alignments.sites.grammar import article, is_partitive, is_phrase, noun_phrase
from protect.alignments.sites.lexicon import ARTICLES, COMMON, MASSES, UNIQUE
from protect.alignments.sites.openings import Opening, has_verb, opening
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.site import FIRST, SECOND, Found

_NONE_OR_ARTICLE = ARTICLES | {""}
_ONLY_ONE = frozenset({"moon"})
_TERSE = frozenset({"emoji", "icon", "sticker"})


@dataclass(frozen=True, slots=True)
class Article:
    """A choice between two articles, or between none and one, before the word for the picture or the first noun."""

    first: str
    """ "a", "the" or "" for none."""
    second: str
    of_picture: bool
    """Before the word for the picture and not before the first noun."""

    def __call__(self, reading: Reading) -> Found | None:
        """Where the noun phrase begins."""
        opens = opening(reading)
        at = self._picture(reading, opens) if self.of_picture else self._subject(reading, opens)
        if at is None or at >= len(reading.said):
            return None
        present = reading.said[at] if reading.said[at] in ARTICLES else ""
        side = self._side(present)
        rest = at + 1 if present else at
        if side is None or rest >= len(reading.said) or reading.said[rest] in UNIQUE:
            return None
        belongs = article(reading.said[rest])
        if belongs is None or (present in ("a", "an") and present != belongs):
            return None
        return _put(reading, at, rest, self._words(1 - side, belongs), side)

    def _side(self, present: str) -> int | None:
        plain = "a" if present == "an" else present
        return FIRST if plain == self.first else SECOND if plain == self.second else None

    def _words(self, side: int, belongs: str) -> str:
        chosen = (self.first, self.second)[side]
        return belongs if chosen == "a" else chosen

    def _picture(self, reading: Reading, opens: Opening) -> int | None:
        return None if opens.picture is None or (not self.first and has_verb(reading)) else opens.start

    def _subject(self, reading: Reading, opens: Opening) -> int | None:
        """The first noun phrase if its noun is in the singular and, without an article, stands alone."""
        if not self.first and not (
            is_phrase(reading, opens.start) if opens.picture is None else _may_lack_articles(reading, opens)
        ):
            return None
        found = noun_phrase(reading, opens.subject, modifiers=True, before_verbs=bool(self.first))
        if found is None or found.plural or found.determiner not in _NONE_OR_ARTICLE or is_partitive(reading, found):
            return None
        if reading.said[found.head] in (_ONLY_ONE if self.first else MASSES):
            return None
        return found.start


def _may_lack_articles(reading: Reading, opens: Opening) -> bool:
    """Whether the word for the picture has no article itself, or needs none behind it: "an emoji of octopus"."""
    at = opens.picture
    return at is not None and (reading.said[opens.start] not in ARTICLES or reading.said[at] in _TERSE)


def _put(reading: Reading, at: int, rest: int, article_there: str, side: int) -> Found | None:
    """Puts an article, or none, before a token; a capital at the beginning stays at the beginning."""
    start, to = reading.starts[at], reading.starts[rest]
    text = f"{article_there} " if article_there else ""
    if not reading.is_capital(start):
        return Found(side, ((start, to, text),)) if text or start != to else None
    if article_there and at != rest:
        return Found(side, ((start, to, text[0].upper() + text[1:]),))
    if reading.said[rest] not in COMMON:
        return None
    text += reading.text[to].lower()
    return Found(side, ((start, to + 1, text[0].upper() + text[1:]),))
