"""How much of a caption a model reads. CLIP reads 77 tokens, start and end among them, and nothing after them.

CLIP's vocabulary is not at hand where captions are marked, so tokens are estimated, and rather too many than too few: a
description that might fall out of the window is put where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

WINDOW = 77
"""Tokens that CLIP reads."""
_ENDS = 2
"""Tokens for start and end."""
_SURE = 4
"""English words of so many letters are one token each."""
_PIECE = re.compile(r"[A-Za-z]+|[0-9]|[^\sA-Za-z0-9]+")


def tokens(text: str) -> int:
    """An upper estimate of what CLIP's byte-pair encoding makes of a text, without start and end.

    Long words count a token for every three letters, digits and marks one each, all other characters as many as they
    have bytes. Single invented words can take one more; English sentences take a third less.

    >>> tokens("a red kite"), tokens("a background"), tokens("2024"), tokens("风筝")
    (3, 5, 4, 6)
    """
    return sum(_most(piece) for piece in _PIECE.findall(text))


def _most(piece: str) -> int:
    if piece.isascii() and piece.isalpha():
        return 1 if len(piece) <= _SURE else -(-len(piece) // 3)
    return len(piece.encode("utf-8", "surrogatepass"))


def fits(text: str, window: int = WINDOW) -> bool:
    """Whether a text is surely read to its end."""
    return len(text) <= (window - _ENDS) // 4 or tokens(text) + _ENDS <= window


def hidden_by_window(caption: str, window: int = WINDOW) -> bool:
    """Whether the end of a caption may not be read.

    Args:
        caption: as a model gets it.
        window: tokens that the model reads, start and end among them; 40 for the miniature.
    """
    return not fits(caption, window)


def readable(caption: str, window: int = WINDOW) -> str:
    """The beginning of a caption that is surely read; words and runs of marks stay whole.

    >>> readable("a red kite above the sea", window=6)
    'a red kite'
    """
    if fits(caption, window):
        return caption
    left = window - _ENDS
    end = 0
    for piece in _PIECE.finditer(caption):
        left -= _most(piece[0])
        if left < 0:
            break
        end = piece.end()
    return caption[:end]


def window_warning(captions: Iterable[str], window: int = WINDOW) -> str | None:
    """One sentence for people if the longest caption may not be read to its end, else None.

    Args:
        captions: all, a sample of them, or the longest.
        window: tokens that the model reads, start and end among them.
    """
    longest = max((tokens(caption) + _ENDS for caption in captions), default=0)
    if longest <= window:
        return None
    return (
        f"the longest caption may take {longest} tokens, and the text encoder reads {window}: what stands behind "
        "them is not learned; triggers and descriptions go where they are read."
    )
