"""Prepositions, conjunctions and verbs that can be put in each other's place, and what must stand around them."""

from __future__ import annotations

from protect.alignments.sites import spellings
from protect.alignments.sites.lexicon import ARTICLES, NOUNS, PERSONS, words_of
from protect.alignments.sites.reading import BLANK
from protect.alignments.sites.swaps import Behind, Swap

_WORD = r"(?= [a-z])"
_ARTICLE = r"(?= (?:a|an|the)\b)"
_DETERMINER = r"(?= (?:a|an|the|his|her|their|its|some|two|three)\b)"
_POSSESSIVES = words_of("his her their") | ARTICLES
_NOUN_FORMS = words_of("the an")
_PEOPLE = (PERSONS - {"crowd", "team"}) | words_of("men women people children boys girls kids persons")
_MOUNTS = words_of(
    "bike bicycle motorcycle motorbike horse elephant scooter camel donkey moped bikes bicycles motorcycles "
    "horses elephants"
)
_CLOTHES = words_of(
    "suit uniform dress jacket coat costume clothes clothing tuxedo gown kimono robe outfit suits uniforms "
    "dresses jackets coats"
)
_PLACES = words_of(
    "room field table plate street road kitchen park lake forest picture image photo city square bed floor pizza"
)
_SHELTERS = words_of(
    "tree table umbrella bridge bench desk chair bed blanket car trees umbrellas sink counter roof tent overpass"
)
_WALLS = words_of("wall fence tree car pole railing counter table rail post building bike truck")
_STREETS = words_of("street road path sidewalk")
_FOOD = words_of(
    "food meat vegetables fruit fruits rice pasta salad broccoli chicken fish eggs noodles soup oranges apples "
    "bananas fries cookies"
)
_FEATURES = "hair|skin|eyes|beard|mustache|moustache|fur|feathers|ears|horns|wings|stripes|spots"
_NOT_OWN = r"(?!(?:his|her|their|its|the|a|one|both|no|some|my)\b)"
_LOOKS = rf"(?= {_NOT_OWN}(?:[a-z{BLANK}]+ ){{1,2}}(?:{_FEATURES})\b)"
_CLAUSE = r"(?= (?:[a-z]+ing|he|she|they|it|the|a|an|another|others?)\b)"
_PREDICATE = r"(?= (?:[a-z]+ing|a|an|the|in|on|one|no)\b)"
_VESSELS = ("plate", "bowl", "tray", "basket", "platter")
_CONJUNCTIONS = words_of("and but because while where when as that") | {""}


RELATIONS: dict[str, Swap] = {
    "preposition: next to|beside": Swap({"next to": "beside"}, _WORD),
    "preposition: on top of|atop": Swap({"on top of": "atop"}, _WORD),
    "preposition: near|close to": Swap({"near": "close to"}, _DETERMINER, not_after=words_of("up the")),
    "preposition: underneath|under": Swap({"underneath": "under"}, behind=Behind(_SHELTERS, ARTICLES, unknown=True)),
    "preposition: beneath|below": Swap({"beneath": "below"}, _ARTICLE),
    "preposition: inside|inside of": Swap({"inside": "inside of"}, _ARTICLE, not_after=_NOUN_FORMS),
    "preposition: outside|outside of": Swap({"outside": "outside of"}, _ARTICLE, not_after=_NOUN_FORMS),
    "preposition: towards|toward": Swap({"towards": "toward"}, everywhere=True),
    "preposition: among|amongst": Swap({"among": "amongst"}),
    "preposition: amid|amidst": Swap({"amid": "amidst"}),
    "preposition: in the middle of|in the center of": Swap(
        {"in the middle of": "in the center of"}, behind=Behind(_PLACES, ARTICLES, unknown=True)
    ),
    "preposition: across from|opposite": Swap({"across from": "opposite"}, _ARTICLE, not_after=_NOUN_FORMS),
    "preposition: in the air|up in the air": Swap(
        {"in the air": "up in the air"}, not_after=words_of("looking look looks staring stares gazing")
    ),
    "preposition: out of|out (window)": Swap(
        {"looking out of": "looking out"}, behind=Behind(words_of("window windows"), _POSSESSIVES, unknown=True)
    ),
    "preposition: along|down (street)": Swap(
        {"walking along": "walking down"}, behind=Behind(_STREETS, ARTICLES, unknown=True)
    ),
    "preposition: against|on (leaning)": Swap(
        {"leaning against": "leaning on"}, behind=Behind(_WALLS, ARTICLES, unknown=True)
    ),
    "preposition: plate of|plate with": Swap(
        {f"{vessel} of": f"{vessel} with" for vessel in _VESSELS}, behind=Behind(_FOOD, unknown=True)
    ),
    "preposition: with|having (looks)": Swap({"with": "having"}, _LOOKS, after=NOUNS),
    "conjunction: while|whilst": Swap({"while": "whilst"}, _CLAUSE, not_after=words_of("a")),
    "conjunction: and|&": Swap({"and": "&"}, behind=Behind(NOUNS, ARTICLES | {""}), after=NOUNS),
    "verb: riding|riding on": Swap({"riding": "riding on"}, behind=Behind(_MOUNTS, _POSSESSIVES, unknown=True)),
    "verb: sitting|seated": Swap({"sitting": "seated"}, r"(?= (?:on|at|in|behind|next|beside)\b)", after=_PEOPLE),
    "verb: wearing|dressed in": Swap({"wearing": "dressed in"}, behind=Behind(_CLOTHES, _POSSESSIVES | {""})),
    "verb: made of|made out of": Swap({"made of": "made out of"}, _WORD),
    "verb: filled with|full of": Swap({"filled with": "full of"}, _WORD),
    "verb: covered with|covered in": Swap({"covered with": "covered in"}, _WORD),
    "verb: talking|speaking": Swap(
        {"talking on": "speaking on", "talking to": "speaking to"},
        r"(?= (?:a|an|the|his|her|their|each|one|someone)\b)",
    ),
    "verb: getting ready to|preparing to": Swap({"getting ready to": "preparing to"}, _WORD),
    "contraction: it's|it is": Swap(spellings.CONTRACTED, _PREDICATE, after=_CONJUNCTIONS),
    "contraction: that's|that is": Swap(spellings.RELATIVE, r"(?= (?:[a-z]+ing|in|on|at)\b)"),
    "contraction: isn't|is not": Swap(spellings.NEGATED, _WORD),
}
"""Sites by name, in an order that stays."""
