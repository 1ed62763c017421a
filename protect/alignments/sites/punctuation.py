"""Sites of marks and of numbers: the full stop at the end, apostrophes, the comma before "and", two and 2."""

from __future__ import annotations

import re
from dataclasses import dataclass

from protect.alignments.sentences import endings
from protect.alignments.sites.lexicon import IRREGULAR, NOUNS, PARTICIPLES, PREPOSITIONS
from protect.alignments.sites.openings import opening
from protect.alignments.sites.reading import BLANK, Reading, is_list
from protect.alignments.sites.site import FIRST, SECOND, Found

_STRAIGHT = re.compile(r"(?<=[a-z])'(?=(?:s|t|d|m|re|ve|ll)\b)")
_CURLY = re.compile(r"(?<=[a-z])’(?=(?:s|t|d|m|re|ve|ll)\b)")
_ITEM = r"(?:(?:a|an|the|some) )?(?:[a-z]+ ){0,2}[a-z]+"
_SERIES = re.compile(rf"(?P<one>{_ITEM}), (?P<two>{_ITEM})(?P<comma>,?) (?:and|or) (?P<three>[a-z]+)")
_SPELT = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBERS = {str(number): word for number, word in enumerate(_SPELT, start=2)}
_DIGITS = {word: digit for digit, word in _NUMBERS.items()}
_COUNTED_BEHIND = PREPOSITIONS - {"behind", "next", "during", "without", "off", "up", "down", "at"} | {
    "and",
    "has",
    "holding",
}


@dataclass(frozen=True, slots=True)
class FullStop:
    """A choice between no full stop and one at the end."""

    def __call__(self, reading: Reading) -> Found | None:
        """At the end of one sentence or phrase."""
        body = reading.text.rstrip()
        stopped = body.endswith(".")
        bare = body[: len(body) - stopped]
        if not bare[-1:].isascii() or not bare[-1:].isalpha() or reading.plain[len(bare) - 1] == BLANK:
            return None
        # In a simple caption no sentence can end before the last word.
        end = f"{bare.rsplit(maxsplit=1)[-1] if reading.simple else bare}."
        ends = endings(end)
        if reading.foreign or len(ends) != 1 or ends[0].end != len(end) or is_list(bare):
            return None
        return Found(SECOND if stopped else FIRST, ((len(bare), len(body), "" if stopped else "."),))


@dataclass(frozen=True, slots=True)
class Apostrophe:
    """A choice between straight and curly apostrophes, wherever they stand inside words."""

    def __call__(self, reading: Reading) -> Found | None:
        """All of them."""
        if "'" not in reading.text and "’" not in reading.text:
            return None
        straight = [match.start() for match in _STRAIGHT.finditer(reading.plain)]
        curly = [match.start() for match in _CURLY.finditer(reading.plain)]
        if bool(straight) == bool(curly):
            return None
        new = "’" if straight else "'"
        return Found(FIRST if straight else SECOND, tuple((at, at + 1, new) for at in straight or curly))


@dataclass(frozen=True, slots=True)
class SerialComma:
    """A choice between "red, blue and green" and "red, blue, and green"."""

    def __call__(self, reading: Reading) -> Found | None:
        """In the first series of nouns."""
        if reading.is_list or not reading.said or reading.said[0] in PREPOSITIONS:
            return None
        match = _SERIES.search(reading.plain)
        if match is None:
            return None
        one, two, three = (match[name].split() for name in ("one", "two", "three"))
        if not (_is_item(one[-1:]) and _is_item(two) and three[0] not in PARTICIPLES):
            return None
        at = match.start("comma")
        return Found(SECOND, ((at, at + 1, ""),)) if match["comma"] else Found(FIRST, ((at, at, ","),))


def _is_item(words: list[str]) -> bool:
    """Whether words are a plain noun phrase, as far as one can see."""
    return words[-1] in NOUNS and not any(word in PREPOSITIONS or word in PARTICIPLES for word in words)


@dataclass(frozen=True, slots=True)
class NumberWord:
    """A choice between "two" and "2", up to twelve, wherever things are counted but at the beginning."""

    def __call__(self, reading: Reading) -> Found | None:
        """All numbers before a noun in the plural, if they are all written alike."""
        said = reading.said
        edits, sides, start = [], set(), opening(reading).start
        for at, word in enumerate(said):
            other = _NUMBERS.get(word) or _DIGITS.get(word)
            if other is None or not _counts(said, at) or at == start:
                continue
            sides.add(SECOND if word.isdigit() else FIRST)
            edits.append((reading.starts[at], reading.ends[at], other))
        return Found(sides.pop(), tuple(edits)) if len(sides) == 1 else None

    @staticmethod
    def words() -> frozenset[str]:
        """Every caption that fits has one of these words."""
        return frozenset({*_NUMBERS, *_DIGITS})


def _counts(said: list[str], at: int) -> bool:
    """Whether a number counts what stands behind it."""
    before = said[at - 1] if at else ""
    if at and before not in _COUNTED_BEHIND and before not in PARTICIPLES and before != "the":
        return False
    return any(_is_plural(word) for word in said[at + 1 : at + 2]) or (
        at + 2 < len(said) and said[at + 1].isalpha() and said[at + 1] not in PREPOSITIONS and _is_plural(said[at + 2])
    )


def _is_plural(word: str) -> bool:
    return word in IRREGULAR or (word in NOUNS and word.endswith("s"))
