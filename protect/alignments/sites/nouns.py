"""Quantities, sizes, nouns and spellings that can be put in each other's place, and what must stand around them."""

from __future__ import annotations

from protect.alignments.sites import spellings
from protect.alignments.sites.lexicon import ANIMALS, NOUNS, PERSONS, PICTURES, PLURAL, words_of
from protect.alignments.sites.swaps import Behind, Swap


def _plural(first: str, second: str) -> dict[str, str]:
    return {first: second, f"{first}s": f"{second}s"}


_WORD = r"(?= [a-z])"
_THESE = words_of("the of these those")
_PARTS = _THESE | words_of("other all or than his her their and least")
_DEGREES = words_of("so how too as very not that this")
_ANIMATE = PERSONS | ANIMALS
_ANIMATE_PLURAL = frozenset(
    word for word in PLURAL if word.removesuffix("s") in _ANIMATE or word.removesuffix("es") in _ANIMATE
) | words_of("men women children people geese mice wolves puppies babies calves")
_SMALL = (_ANIMATE | words_of("girls boys children dogs cats birds kids house boat car toy table")) - {
    "brother",
    "sister",
}
_LARGE = NOUNS - {"top", "foot", "sister", "brother", "apple", "wheel", "cats", "cat"}
_KINDS = r"(?= (?:kinds|types|sorts|colors|colours|shapes|sizes|vegetables|fruits|foods)\b)"
_COUNTS = words_of("many several two three four five some very few the no")
_MOTOR = words_of(
    "motorcycle motorcycles motorbike motorbikes motor dirt biker bikers moped engine helmet motorcyclist motorcyclists"
)
_LINKED = r"(?= (?:of|showing|depicting|that shows)\b)"
_DIGITAL = r"(?= (?:(?:image|picture) )?(?:of|showing|depicting|that shows)\b)"
_NO_SCREEN = r"(?! (?:bag|case|screen|keyboard|sleeve|stand|monitor|desk|computers?)\b)"
_NO_BOOTH = r"(?! (?:booth|shoot|album|op|ops|finish|gallery|editing|bomb|frame|a|the)\b)"

NOUN_SITES: dict[str, Swap] = {
    "quantity: a lot of|lots of": Swap(
        {"a lot of": "lots of"}, r"(?= (?!(?:the|a|an)\b)[a-z])", not_after=words_of("parking storage")
    ),
    "quantity: several|a number of": Swap({"several": "a number of"}, behind=Behind(PLURAL), not_after=_THESE),
    "quantity: many|numerous": Swap({"many": "numerous"}, behind=Behind(PLURAL), not_after=_DEGREES),
    "quantity: two|a pair of": Swap({"two": "a pair of"}, behind=Behind(_ANIMATE_PLURAL), not_after=_PARTS),
    "quantity: kinds of|types of": Swap({"kinds of": "types of"}, _WORD),
    "quantity: different|various": Swap({"different": "various"}, _KINDS, not_after=_COUNTS),
    "quantity: a variety of|an assortment of": Swap({"a variety of": "an assortment of"}, _WORD),
    "size: large|big": Swap({"large": "big"}, behind=Behind(_LARGE), not_after=words_of("extra very")),
    "size: small|little": Swap({"small": "little"}, behind=Behind(_SMALL), not_after=words_of("very too so as")),
    "noun: couch|sofa": Swap({"couch": "sofa", "couches": "sofas"}, everywhere=True),
    "noun: bike|bicycle": Swap(
        _plural("bike", "bicycle"), not_after=words_of("sport pit quad police mountain"), everywhere=True, unless=_MOTOR
    ),
    "noun: TV|television": Swap(_plural("TV", "television"), everywhere=True),
    "noun: fridge|refrigerator": Swap(_plural("fridge", "refrigerator"), everywhere=True),
    "noun: plane|airplane": Swap(_plural("plane", "airplane"), not_after=words_of("air sea war"), everywhere=True),
    "noun: motorbike|motorcycle": Swap(_plural("motorbike", "motorcycle"), everywhere=True),
    "noun: cell phone|mobile phone": Swap(_plural("cell phone", "mobile phone"), everywhere=True),
    "noun: trash can|garbage can": Swap(_plural("trash can", "garbage can"), everywhere=True),
    "noun: traffic light|traffic signal": Swap(_plural("traffic light", "traffic signal"), everywhere=True),
    "noun: laptop|laptop computer": Swap(_plural("laptop", "laptop computer"), _NO_SCREEN),
    "noun: veggies|vegetables": Swap({"veggies": "vegetables"}, everywhere=True),
    "noun: photo|photograph": Swap(
        _plural("photo", "photograph"), _NO_BOOTH, not_after=words_of("to"), everywhere=True
    ),
    "noun: kids|children": Swap({"kids": "children"}, everywhere=True, unless=words_of("goat goats")),
    "noun: baby elephant|elephant calf": Swap(
        {"baby elephant": "elephant calf", "baby elephants": "elephant calves"}, everywhere=True
    ),
    "picture: emoji|emoji image": Swap({word: f"{word} image" for word in ("emoji", "icon", "cartoon")}, _LINKED),
    "picture: emoji|digital emoji": Swap({"emoji": "digital emoji"}, _DIGITAL),
    "picture: painting|painted picture": Swap(
        {"painting of": "painted picture of"}, _WORD, not_after=words_of("is are and man woman")
    ),
    "picture: close up|close-up": Swap(
        {"close up": "close-up"}, r"(?= (?:of|view|photo|picture|image|shot|photograph)\b)"
    ),
    "pronoun: each other|one another": Swap({"each other": "one another"}, everywhere=True),
    "pronoun: someone|somebody": Swap(spellings.PRONOUNS),
    "spelling: American|British": Swap(spellings.AMERICAN_BRITISH, everywhere=True),
    "spelling: racket|racquet": Swap(spellings.RACKETS, everywhere=True),
    "spelling: blond|blonde": Swap(
        {"blond": "blonde"},
        r"(?= (?:hair|haired)\b)",
        everywhere=True,
        unless=words_of("man men boy boys guy guys male"),
    ),
    "compound: open|closed": Swap(spellings.OPEN_CLOSED, everywhere=True),
    "compound: hyphens|spaces": Swap(
        spellings.HYPHENATED, behind=Behind(NOUNS | PICTURES | words_of("tv shot buses appliances"), unknown=True)
    ),
}
"""Sites by name, in an order that stays."""
