"""How a caption is built: where its sentences end, whether it is a list of tags, whether it says something at all."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_OPENING = "\"'“‘«„([（【「『"
_CLOSING = "\"'”’»)]）】」』"
_STOPS = ".!?…。！？｡।۔؟"
_WIDE_STOPS = "。！？｡"
"""Marks that no space follows."""
_ENDING = re.compile(rf"[ \u00a0]*(?P<stops>[{_STOPS}]+)[{re.escape(_CLOSING)}]*")
_ABBREVIATION = re.compile(
    r"(?:\w\.)+\w|approx|art|ave|ca|capt|cf|co|corp|dr|ed|est|etc|feat|fig|ft|gen|gov|inc|jr|ltd|mr|mrs|ms|mt|no|nr|prof|"
    r"rev|sen|sgt|sr|st|vol|vs",
    re.IGNORECASE,
)
_SEPARATORS = {"|": 2, ",": 3, "，": 3, "、": 3, "،": 3, ";": 3, "；": 3}
"""Marks between tags, and how many tags make a list."""
_LONGEST_TAG, _LONGEST_UNSPACED_TAG, _LONG_TAGS = 5, 12, 0.2
"""Words and characters of a tag, and the share of tags that may have more."""
_NOT_A_TAG = re.compile(r"(?:and|or|but|with|while|which|who|where|as|when|that|und|et|y)\b", re.IGNORECASE)
_VERB = re.compile(
    r"(?<!\bthat )(?<!\bwhich )(?<!\bwho )(?<!\bwhat )(?<!\bwhere )\b(?:is|are|was|were|has|have)\b"
    r"|^(?:this|that|there|here|it|he|she|they|we|i|you)['’](?:s|re|m|ve)\b",
    re.IGNORECASE,
)
_TRAILER = re.compile(r"(?:\s+(?:[#@]\w\S*|https?://\S+|www\.\S+))+$")


@dataclass(frozen=True, slots=True)
class Ending:
    """Where a sentence ends."""

    words: int
    """Where its words end."""
    stops: tuple[int, int]
    """From where to where its full stop goes, or other marks like it."""
    end: int
    """Behind closing quotation marks and brackets."""


def endings(text: str) -> list[Ending]:
    """The ends of all sentences; a full stop behind an abbreviation, an initial or a list's number is none.

    >>> [text[e.stops[0] : e.end] for text in ['Mr. J. Fox sees "it."  Really?!'] for e in endings(text)]
    ['."', '?!']
    """
    found: list[Ending] = []
    for match in _ENDING.finditer(text):
        said, rest = text[found[-1].end if found else 0 : match.start()], text[match.end() :]
        if rest and not rest[0].isspace() and match["stops"][-1] not in _WIDE_STOPS:
            continue
        if not any(c.isalnum() for c in said) or rest.lstrip()[:1].islower():
            continue
        if match["stops"] == "." and _abbreviated(said, last=not rest):
            continue
        found.append(Ending(match.start(), match.span("stops"), match.end()))
    return found


def _abbreviated(before: str, last: bool) -> bool:
    word = before.rsplit(maxsplit=1)[-1].lstrip(_OPENING) if before.strip() else ""
    if _ABBREVIATION.fullmatch(word):
        return True
    initial = len(word) == 1 and word.isalpha() and word != "I"
    return not last and (initial or (word.isdecimal() and len(word) < 3))


def quoted_whole(text: str, start: int, ending: Ending) -> bool:
    """Whether a sentence stands whole in its quotation marks or brackets, so that its words end inside them.

    Args:
        text: holds the sentence.
        start: where it starts.
        ending: where it ends.
    """
    return ending.end > ending.stops[1] and text[start:].lstrip()[:1] in tuple(_OPENING)


def separator(text: str) -> str | None:
    """What stands between the tags of a list of tags, with its spaces; None if the text is no such list.

    >>> [separator(text) for text in ("1girl, solo, smile", "kite | sea", "红色、风筝、海", "a kite, red")]
    [', ', ' | ', '、', None]
    """
    return next((found for mark, fewest in _SEPARATORS.items() if (found := _separated(text, mark, fewest))), None)


def _separated(text: str, mark: str, fewest: int) -> str | None:
    between = rf"\s*(?<!\d){re.escape(mark)}\s*|\s*{re.escape(mark)}(?!\d)\s*"
    tags = re.split(between, text.strip().removesuffix(mark))
    if len(tags) < fewest or not all(tags) or endings(text):
        return None
    if mark != "|" and (_VERB.search(text) or any(_NOT_A_TAG.match(tag) for tag in tags)):
        return None
    long = sum(len(tag.split()) > _LONGEST_TAG or _unspaced(tag) > _LONGEST_UNSPACED_TAG for tag in tags)
    if mark != "|" and long > _LONG_TAGS * len(tags):
        return None
    counts: Counter[str] = Counter(re.findall(between, text.strip()))
    return counts.most_common(1)[0][0]


def _unspaced(tag: str) -> int:
    return 0 if tag.isascii() else max(map(len, tag.split()))


def is_clause(text: str) -> bool:
    """Whether a text without a full stop is a sentence all the same: it has a verb of its own.

    >>> is_clause("this is a kite"), is_clause("a kite that is red"), is_clause("there's a kite")
    (True, False, True)
    """
    return bool(_VERB.search(text))


def without_trailer(text: str) -> str:
    """A text without the tags and addresses that stand behind its words; the text itself if it is nothing else.

    >>> without_trailer("a red kite #sea @ann https://example.org")
    'a red kite'
    """
    shorter = _TRAILER.sub("", text)
    return text if shorter.startswith(("#", "@", "http", "www.")) else shorter
