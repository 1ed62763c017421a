"""Keeping small pictures that are drawn again and again: all carriers of a slot have one background."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache, wraps
from typing import TypeVar, cast

from protect.marks.family import Pixels

ENTRIES = 8
PIXELS = 2**20
"""Larger pictures are drawn anew: what is kept takes at most 24 MiB for each function and process."""
Draw = TypeVar("Draw", bound=Callable[..., Pixels])


def kept(draw: Draw) -> Draw:
    """A function that keeps the last `ENTRIES` pictures it gave; threads may call it at once.

    Args:
        draw: makes RGB, shape (H, W, 3), from H, W and more, all of it by position and hashable, and from nothing else.

    Returns:
        The same function. Its pictures have several users, so they cannot be written to.
    """

    def sealed(height: int, width: int, *rest: Hashable) -> Pixels:
        picture = draw(height, width, *rest)
        picture.flags.writeable = False
        return picture

    remembered = lru_cache(ENTRIES)(sealed)

    @wraps(draw)
    def drawn(height: int, width: int, *rest: Hashable) -> Pixels:
        return (remembered if height * width <= PIXELS else sealed)(height, width, *rest)

    return cast(Draw, drawn)
