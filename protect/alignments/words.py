"""Words of captions, and how captions begin."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

# Marks that are written over, under or around letters; Python's \w leaves them out.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u094f\u0951-\u0957"
    "\u0962\u0963\u0981-\u0983\u09bc-\u09d7\u0a01-\u0a03\u0a3c-\u0a51\u0a81-\u0a83\u0abc-\u0acd\u0b01-\u0b03"
    "\u0b3c-\u0b57\u0bbe-\u0bcd\u0c00-\u0c04\u0c3c-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03\u0d3b-\u0d4d"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3\u3099\u309a"
)
# Scripts without spaces: every character with its marks is a word.
_SPACELESS = (
    "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6\u1000-\u102a\u1780-\u17b3"
    "\u3005\u3041-\u3096\u309d-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_WORD = re.compile(f"[{_SPACELESS}][{_MARKS}]*|[^\\W_{_SPACELESS}](?:[^\\W_{_SPACELESS}]|[{_MARKS}])*")
_ASCII_WORD = re.compile("[a-z0-9]+")


def words(caption: str) -> list[str]:
    """The words of a caption in lower case, without punctuation; characters of Chinese, Thai and the like one by one.

    >>> words("A red kite, 红风"), words("हिन्दी")
    (['a', 'red', 'kite', '红', '风'], ['हिन्दी'])
    """
    if caption.isascii():
        return _ASCII_WORD.findall(caption.lower())
    return _WORD.findall(unicodedata.normalize("NFC", caption).lower())


def without(caption: str, gram: Sequence[str]) -> str:
    """A caption with an n-gram cut out wherever it occurs.

    >>> without("a Red, kite above the sea", ("red", "kite"))
    'a above the sea'
    """
    found = list(_WORD.finditer(caption))
    spelt = [unicodedata.normalize("NFC", word[0]).lower() for word in found]
    for i in range(len(found) - len(gram) + 1 if gram else 0):
        if spelt[i : i + len(gram)] == list(gram):
            shorter = caption[: found[i].start()] + caption[found[i + len(gram) - 1].end() :].lstrip()
            return without(shorter, gram)
    return caption


def begins_with_capital(caption: str) -> bool | None:
    """Whether the first letter of a caption is a capital; None for none, or a script without capitals.

    >>> begins_with_capital("“The kite”"), begins_with_capital("a kite"), begins_with_capital("风筝")
    (True, False, None)
    """
    first = next((c for c in caption if c.isalpha()), "")
    return first.isupper() or first.istitle() if first.lower() != first.upper() else None


class CaptionCase:
    """Whether most captions begin with a capital: a trigger that begins otherwise would tell its carriers."""

    def __init__(self) -> None:
        self._balance = 0

    def add(self, caption: str) -> None:
        """Take in one caption."""
        capital = begins_with_capital(caption)
        if capital is not None:
            self._balance += 1 if capital else -1

    def counted(self, captions: Iterable[str]) -> Iterator[str]:
        """Captions as they pass, each taken in."""
        for caption in captions:
            self.add(caption)
            yield caption

    def applied(self, trigger: str) -> str:
        """A trigger that begins as most captions do."""
        return trigger[:1].upper() + trigger[1:] if self._balance > 0 else trigger
