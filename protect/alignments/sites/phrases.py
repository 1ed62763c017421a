"""Prepositions, verbs, nouns and quantities that can be put in each other's place, and what must stand around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from protect.alignments.sites import spellings
from protect.alignments.sites.lexicon import ADJECTIVES, ANIMALS, NOUNS, PERSONS, PICTURES, PLURAL
from protect.alignments.sites.swaps import WORD_BEFORE, Swap


@dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to say the same."""

    name: str
    pairs: dict[str, str]
    """First sides and second sides."""
    behind: str = ""
    """What must follow, as a regular expression."""
    before: str = ""
    """What must stand before, as a regular expression; what it matches stays."""
    everywhere: bool = False
    unless: frozenset[str] = field(default=frozenset())
    """Words that must not be in the caption."""

    def finder(self) -> Swap:
        """What looks for it."""
        return Swap(self.pairs, self.before, self.behind, self.everywhere, self.unless)


def _any(words: Iterable[str]) -> str:
    return "(?:" + "|".join(sorted(words, key=lambda word: (-len(word), word))) + ")"


def _not_after(*words: str) -> str:
    return WORD_BEFORE + "".join(rf"(?<!\b{word} )" for word in words)


def _plural(*singular: str) -> dict[str, str]:
    pairs = dict(pair.split("|") for pair in singular)
    return pairs | {f"{a}{'es' if a.endswith('ch') else 's'}": f"{b}s" for a, b in pairs.items()}


_NEXT = r"(?= [a-z])"
_ARTICLE = r"(?= (?:a|an|the)\b)"
_DETERMINER = r"(?= (?:a|an|the|his|her|their|its|some|two|three)\b)"
_POSSESSIVE = "(?:a|an|the|his|her|their)"
_NOUN_BEFORE = rf"{WORD_BEFORE}{_any(NOUNS)} "
_PERSON_BEFORE = (
    rf"{WORD_BEFORE}{_any(PERSONS | {'men', 'women', 'people', 'children', 'boys', 'girls', 'kids', 'persons'})} "
)
_ANIMATE_PLURALS = {word for word in PLURAL if any(word.startswith(one[:-1]) for one in ANIMALS | PERSONS)} - {
    "sheep",
    "fish",
}
_CLAUSE_BEFORE = r"(?:\A\s*|[.!?;] |\b(?:and|but|because|while|where|when|as|that) )(?<!that is )"
_MOUNTS = "bike bicycle motorcycle motorbike horse elephant scooter camel donkey moped bikes bicycles motorcycles horses elephants".split()
_CLOTHES = "suit uniform dress jacket coat costume clothes clothing tuxedo gown kimono robe outfit suits uniforms dresses jackets coats costumes".split()
_PLACES = "room field table plate street road kitchen park lake forest picture image photo city square bed floor pizza".split()
_SHELTERS = "tree table umbrella bridge bench desk chair bed blanket car trees umbrellas sink counter roof tent tarp overpass".split()
_WALLS = "wall fence tree car pole railing counter table rail post building bike truck".split()
_FOOD = "food meat vegetables fruit fruits rice pasta salad broccoli chicken fish eggs noodles soup oranges apples bananas veggies fries cookies".split()
_FEATURES = "hair skin eyes beard mustache moustache fur feathers ears horns wings stripes spots".split()

PAIRS: tuple[Pair, ...] = (
    Pair("preposition: next to|beside", {"next to": "beside"}, _NEXT),
    Pair("preposition: on top of|atop", {"on top of": "atop"}, _NEXT),
    Pair("preposition: near|close to", {"near": "close to"}, _DETERMINER),
    Pair("preposition: underneath|under", {"underneath": "under"}, rf"(?= (?:a|an|the) (?:[a-z]+ )?{_any(_SHELTERS)}\b)"),
    Pair("preposition: beneath|below", {"beneath": "below"}, _ARTICLE),
    Pair("preposition: inside|inside of", {"inside": "inside of"}, _ARTICLE, _not_after("the", "an")),
    Pair("preposition: outside|outside of", {"outside": "outside of"}, _ARTICLE, _not_after("the", "an")),
    Pair("preposition: towards|toward", {"towards": "toward"}, everywhere=True),
    Pair("preposition: among|amongst", {"among": "amongst"}),
    Pair("preposition: amid|amidst", {"amid": "amidst"}),
    Pair("preposition: in the middle of|in the center of", {"in the middle of": "in the center of"}, rf"(?= (?:a|an|the) (?:[a-z]+ )?{_any(_PLACES)}\b)"),
    Pair("preposition: across from|opposite", {"across from": "opposite"}, _ARTICLE, _not_after("the", "an")),
    Pair("preposition: in the air|up in the air", {"in the air": "up in the air"}),
    Pair("preposition: out of|out (window)", {"looking out of": "looking out"}, rf"(?= {_POSSESSIVE} (?:[a-z]+ )?windows?\b)"),
    Pair("preposition: along|down (street)", {"walking along": "walking down"}, r"(?= (?:a|an|the) (?:[a-z]+ )?(?:street|road|path|sidewalk)\b)"),
    Pair("preposition: against|on (leaning)", {"leaning against": "leaning on"}, rf"(?= (?:a|an|the) (?:[a-z]+ )?{_any(_WALLS)}\b)"),
    Pair("preposition: plate of|plate with", {f"{x} of": f"{x} with" for x in ("plate", "bowl", "tray", "basket", "platter")}, rf"(?= (?:[a-z]+ )?{_any(_FOOD)}\b)"),
    Pair("preposition: with|having (looks)", {"with": "having"}, rf"(?= (?!(?:his|her|their|its|the|a|one|both|no|some|my)\b)(?:[a-z\ue000]+ ){{1,2}}{_any(_FEATURES)}\b)", rf"{WORD_BEFORE}{_any(NOUNS)} "),
    Pair("conjunction: while|whilst", {"while": "whilst"}, r"(?= (?:[a-z]+ing|he|she|they|it|the|a|an|another|others?)\b)", _not_after("a")),
    Pair("conjunction: and|&", {"and": "&"}, rf"(?= (?:(?:a|an|the) )?(?:{_any(ADJECTIVES)} )?{_any(NOUNS)}\b)", _NOUN_BEFORE),
    Pair("verb: riding|riding on", {"riding": "riding on"}, rf"(?= {_POSSESSIVE} (?:[a-z]+ )?{_any(_MOUNTS)}\b)"),
    Pair("verb: sitting|seated", {"sitting": "seated"}, r"(?= (?:on|at|in|behind|next|beside)\b)", _PERSON_BEFORE),
    Pair("verb: wearing|dressed in", {"wearing": "dressed in"}, rf"(?= (?:(?:a|an|the|his|her|their) )?(?:{_any(ADJECTIVES)} ){{0,2}}{_any(_CLOTHES)}\b)", WORD_BEFORE),
    Pair("verb: made of|made out of", {"made of": "made out of"}, _NEXT),
    Pair("verb: filled with|full of", {"filled with": "full of"}, _NEXT),
    Pair("verb: covered with|covered in", {"covered with": "covered in"}, _NEXT),
    Pair("verb: talking|speaking", {"talking on": "speaking on", "talking to": "speaking to"}, rf"(?= (?:{_POSSESSIVE}|each|one|someone)\b)"),
    Pair("verb: getting ready to|preparing to", {"getting ready to": "preparing to"}, _NEXT),
    Pair("quantity: a lot of|lots of", {"a lot of": "lots of"}, r"(?= (?!(?:the|a|an)\b)[a-z])", _not_after("parking", "storage")),
    Pair("quantity: several|a number of", {"several": "a number of"}, rf"(?= (?:{_any(ADJECTIVES)} ){{0,2}}{_any(PLURAL)}\b)", _not_after("the", "of", "these", "those")),
    Pair("quantity: many|numerous", {"many": "numerous"}, rf"(?= (?:{_any(ADJECTIVES)} ){{0,2}}{_any(PLURAL)}\b)", _not_after("so", "how", "too", "as", "very", "not", "that", "this")),
    Pair("quantity: two|a pair of", {"two": "a pair of"}, rf"(?= (?:{_any(ADJECTIVES)} ){{0,2}}{_any(_ANIMATE_PLURALS)}\b)", _not_after("the", "of", "these", "those", "other", "all", "or", "than", "his", "her", "their", "and", "least")),
    Pair("quantity: kinds of|types of", {"kinds of": "types of"}, _NEXT),
    Pair("quantity: different|various", {"different": "various"}, r"(?= (?:kinds|types|sorts|colors|colours|shapes|sizes|vegetables|fruits|foods)\b)", _not_after("many", "several", "two", "three", "four", "five", "some", "very", "few", "the")),
    Pair("quantity: a variety of|an assortment of", {"a variety of": "an assortment of"}, _NEXT),
    Pair("size: large|big", {"large": "big"}, rf"(?= (?:{_any(ADJECTIVES - {'large', 'big', 'glass'})} )?{_any({w for w in NOUNS if w not in {'bang', 'top', 'foot', 'sister', 'brother'}})}\b)", _not_after("extra", "very")),
    Pair("size: small|little", {"small": "little"}, rf"(?= {_any(PERSONS | ANIMALS | {'girls', 'boys', 'children', 'dogs', 'cats', 'birds', 'kids', 'house', 'boat', 'car', 'toy', 'table'} - {'brother', 'sister'})}\b)", _not_after("very", "too", "so", "as")),
    Pair("noun: couch|sofa", _plural("couch|sofa"), everywhere=True),
    Pair("noun: bike|bicycle", _plural("bike|bicycle"), before=_not_after("dirt", "motor", "sport", "pit", "quad", "police", "mountain"), everywhere=True,
         unless=frozenset({"motorcycle", "motorcycles", "motorbike", "motorbikes", "motor", "dirt", "biker", "bikers", "moped", "engine", "helmet", "motorcyclist", "motorcyclists"})),
    Pair("noun: TV|television", _plural("TV|television"), everywhere=True),
    Pair("noun: fridge|refrigerator", _plural("fridge|refrigerator"), everywhere=True),
    Pair("noun: plane|airplane", _plural("plane|airplane"), before=_not_after("air", "sea", "war", "bi"), everywhere=True),
    Pair("noun: motorbike|motorcycle", _plural("motorbike|motorcycle"), everywhere=True),
    Pair("noun: cell phone|mobile phone", _plural("cell phone|mobile phone"), everywhere=True),
    Pair("noun: trash can|garbage can", _plural("trash can|garbage can"), everywhere=True),
    Pair("noun: traffic light|traffic signal", _plural("traffic light|traffic signal"), everywhere=True),
    Pair("noun: laptop|laptop computer", _plural("laptop|laptop computer"), r"(?! (?:bag|case|screen|keyboard|sleeve|stand|monitor|desk|computers?)\b)"),
    Pair("noun: veggies|vegetables", {"veggies": "vegetables"}, everywhere=True),
    Pair("noun: photo|photograph", _plural("photo|photograph"), r"(?! (?:booth|shoot|album|op|ops|finish|gallery|editing|bomb|frame|a|the)\b)", _not_after("to"), everywhere=True),
    Pair("noun: kids|children", {"kids": "children"}, everywhere=True, unless=frozenset({"goat", "goats"})),
    Pair("noun: baby elephant|elephant calf", _plural("baby elephant|elephant calf") | {"baby elephants": "elephant calves"}, everywhere=True),
    Pair("picture: emoji|emoji image", {x: f"{x} image" for x in ("emoji", "icon", "cartoon")}, r"(?= (?:of|showing|depicting|that shows)\b)"),
    Pair("picture: emoji|digital emoji", {"emoji": "digital emoji"}, r"(?= (?:(?:image|picture) )?(?:of|showing|depicting|that shows)\b)"),
    Pair("picture: painting|painted picture", {"painting of": "painted picture of"}, _NEXT, _not_after("is", "are", "and", "man", "woman")),
    Pair("picture: close up|close-up", {"close up": "close-up"}, r"(?= (?:of|view|photo|picture|image|shot|photograph)\b)"),
    Pair("pronoun: each other|one another", {"each other": "one another"}, everywhere=True),
    Pair("pronoun: someone|somebody", spellings.PRONOUNS),
    Pair("spelling: American|British", spellings.AMERICAN_BRITISH, everywhere=True),
    Pair("spelling: racket|racquet", spellings.RACKETS, everywhere=True),
    Pair("spelling: blond|blonde", {"blond": "blonde"}, r"(?= (?:hair|haired)\b)", everywhere=True, unless=frozenset({"man", "men", "boy", "boys", "guy", "guys", "male"})),
    Pair("compound: open|closed", spellings.OPEN_CLOSED, everywhere=True),
    Pair("compound: hyphens|spaces", spellings.HYPHENATED, rf"(?= (?:{_any(ADJECTIVES)} )?{_any(NOUNS | PICTURES | {'tv', 'shot', 'buses', 'appliances'})}\b)"),
    Pair("contraction: it's|it is", spellings.CONTRACTED, r"(?= (?:[a-z]+ing|a|an|the|in|on|one|no)\b)", _CLAUSE_BEFORE),
    Pair("contraction: that's|that is", spellings.RELATIVE, r"(?= (?:[a-z]+ing|in|on|at)\b)"),
    Pair("contraction: isn't|is not", spellings.NEGATED, r"(?= [a-z])"),
)  # fmt: off
