"""Which script a caption is written in, and whether English words can be added to it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from string import punctuation

LATIN, HAN, JAPANESE = "LATIN", "HAN", "JAPANESE"
SPACELESS = frozenset({HAN, JAPANESE, "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "YI"})
"""Scripts that put no spaces between words."""
RIGHT_TO_LEFT = frozenset({"ARABIC", "HEBREW", "SYRIAC", "THAANA", "NKO", "ADLAM"})

_LOOKED_AT = 300
"""Characters from the start that tell the script."""
_IDEOGRAPH = 3
"""Letters for which a character of Chinese or Japanese counts: it says about as much."""
_OTHER_NAMES = {
    "CJK": HAN,
    "IDEOGRAPHIC": HAN,
    "HIRAGANA": JAPANESE,
    "KATAKANA": JAPANESE,
    "KATAKANA-HIRAGANA": JAPANESE,
    "HALFWIDTH": JAPANESE,
    "FULLWIDTH": LATIN,
}
_COMMAS = {HAN: "，", JAPANESE: "、", "ARABIC": "، "}
_TOLD = {HAN: "Chinese characters", JAPANESE: "Japanese", "HANGUL": "Korean"}

_ENGLISH, _OTHER_LANGUAGES = (
    frozenset(small.split())
    for small in (
        "the of with and on at by is are from for to over under near behind this that his her its their above below "
        "front beside between through into",
        "der das und ein eine einem einen einer mit auf im von für bei zur le les des une du avec et dans sur un est "
        "aux el los las una con y del sobre il lo gli di nel che della la de os uma com em na da het een van met op "
        "voor og och på med ett i w się bir ve yang dan",
    )
)
"""Words that hold sentences together; none of the second kind is common in English."""


def main_script(text: str) -> str:
    """The script of most of a text by its Unicode name, such as "LATIN"; empty if there are no letters.

    >>> main_script("a kite"), main_script("红色的风筝 kite"), main_script("赤い凧"), main_script("42")
    ('LATIN', 'HAN', 'JAPANESE', '')
    """
    letters = [c for c in text[:_LOOKED_AT] if c.isalpha()]
    if text.isascii():
        return LATIN if letters else ""
    counts: Counter[str] = Counter()
    for letter in letters:
        script = _script(letter)
        counts[script] += _IDEOGRAPH if script in (HAN, JAPANESE) else 1
    if counts[JAPANESE]:
        counts[JAPANESE] += counts.pop(HAN, 0)
    return max(counts, key=lambda script: (counts[script], script), default="")


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    return _OTHER_NAMES.get(name, name)


def comma(text: str) -> str:
    """The comma of a text's script with the space that belongs to it; a space where the script has none.

    >>> comma("红色的风筝"), comma("赤い凧"), comma("a kite")
    ('，', '、', ', ')
    """
    script = main_script(text)
    return _COMMAS.get(script, " " if script in SPACELESS else ", ")


def not_english(caption: str) -> str | None:
    """What a caption is written in if a description in English would stand oddly in it, else None.

    Languages in Latin letters are told by the small words that hold sentences together, where they are no names.

    >>> not_english("一只红色的风筝"), not_english("Drachen über der Stadt und dem Meer"), not_english("kites, Paris")
    ('Chinese characters', 'another language', None)
    """
    script = main_script(caption)
    if script not in (LATIN, ""):
        return _TOLD.get(script, f"{script.capitalize()} letters")
    found = {word.strip(punctuation) for word in caption.split()}
    other = len(found & _OTHER_LANGUAGES)
    return "another language" if other > 1 and other > len(found & _ENGLISH) else None
