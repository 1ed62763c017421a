"""The sites of English: pairs that change neither sense nor grammar wherever they fit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from protect.alignments.sites.articles import Article
from protect.alignments.sites.clauses import RelativeClause, Tense
from protect.alignments.sites.leads import ClauseLead, ColonLead, PhraseLead
from protect.alignments.sites.lexicon import ARTICLES, NUMBERS, PARTICIPLES, PICTURES
from protect.alignments.sites.nouns import NOUN_SITES
from protect.alignments.sites.pictures import Link, Order, PictureNoun
from protect.alignments.sites.punctuation import Apostrophe, FullStop, NumberWord, SerialComma
from protect.alignments.sites.reading import Reading
from protect.alignments.sites.relations import RELATIONS
from protect.alignments.sites.site import Finder, Found, Site

_ANY = frozenset({"", "a", "an", "the"}) | NUMBERS
_ONE = frozenset({"a", "an"})

PHOTOGRAPHIC = ("lead: none|a photo of",)
"""Names of sites that are true only where all pictures are photographs."""
_UNCERTAIN = frozenset({"mark: serial comma none|,", "noun: TV|television"})
"""Names of sites that find in simple captions what cannot always be turned back."""


@dataclass(frozen=True, slots=True)
class InEnglish:
    """A finder that leaves captions in other languages alone."""

    finder: Finder

    def __call__(self, reading: Reading) -> Found | None:
        """Where the finder finds it, in English."""
        found = self.finder(reading)
        return None if found is None or reading.foreign else found


_PICTURE_SITES: tuple[tuple[str, Finder], ...] = (
    ("article of the picture: none|a", Article("", "a", of_picture=True)),
    ("article of the picture: none|the", Article("", "the", of_picture=True)),
    ("article of the picture: a|the", Article("a", "the", of_picture=True)),
    ("picture: of|showing", Link("showing")),
    ("picture: of|depicting", Link("depicting")),
    ("picture: of|that shows", Link("that shows")),
    ("picture: picture|image", PictureNoun("picture", "image")),
    ("order: picture of subject|subject, picture", Order()),
)
_OPENINGS: tuple[tuple[str, Finder, frozenset[str]], ...] = (
    ("lead: none|pictured:", ColonLead("pictured"), frozenset()),
    ("lead: none|here:", ColonLead("here"), frozenset()),
    ("lead: none|shown:", ColonLead("shown"), frozenset()),
    ("lead: none|a picture of", PhraseLead(("a", "picture", "of"), _ANY), frozenset()),
    ("lead: none|an image of", PhraseLead(("an", "image", "of"), _ANY), frozenset()),
    ("lead: none|a photo of", PhraseLead(("a", "photo", "of"), _ANY), frozenset()),
    ("lead: none|this is", PhraseLead(("this", "is"), _ONE, plural=False), _ONE),
    ("lead: none|there is", PhraseLead(("there", "is"), _ONE, plural=False), _ONE),
    ("lead: none|there are", PhraseLead(("there", "are"), NUMBERS, plural=True), NUMBERS),
    ("lead: none|in this picture,", ClauseLead(("in", "this", "picture")), frozenset({"is", "are"})),
    *((name, finder, PICTURES) for name, finder in _PICTURE_SITES),
    ("article of the subject: none|a", Article("", "a", of_picture=False), frozenset()),
    ("article of the subject: none|the", Article("", "the", of_picture=False), frozenset()),
    ("article of the subject: a|the", Article("a", "the", of_picture=False), frozenset(ARTICLES)),
    ("clause: man riding|man who is riding", RelativeClause(persons=True), frozenset(PARTICIPLES)),
    ("clause: dog running|dog that is running", RelativeClause(persons=False), frozenset(PARTICIPLES)),
    ("clause: is riding|rides", Tense(), Tense.words()),
    ("number: two|2", NumberWord(), NumberWord.words()),
    ("mark: final full stop none|.", FullStop(), frozenset()),
    ("mark: apostrophe straight|curly", Apostrophe(), frozenset()),
    ("mark: serial comma none|,", SerialComma(), frozenset({","})),
)


@cache
def english_sites(photographs: bool = False) -> tuple[Site, ...]:
    """All sites of English, in an order that stays.

    Args:
        photographs: whether all pictures are photographs, so that captions may say so.
    """
    openings = [
        Site(name, InEnglish(finder), words, name not in _UNCERTAIN)
        for name, finder, words in _OPENINGS
        if photographs or name not in PHOTOGRAPHIC
    ]
    swaps = (RELATIONS | NOUN_SITES).items()
    return (*openings, *(Site(name, InEnglish(swap), swap.words(), name not in _UNCERTAIN) for name, swap in swaps))
