"""How words describe a soft wash of colours, for the families that plant one."""

from __future__ import annotations

from collections.abc import Mapping

from protect.marks.sign_vectors import Waves

Described = Mapping[tuple[int, int, int], int]
"""Signs of single waves by (colour channel, vertical, horizontal) in half periods."""

_COLOURS = {"reddish": (1, 1), "greenish": (1, -1), "yellowish": (2, 1), "bluish": (2, -1)}
"""Colour channel and sign."""

DESCRIBED: dict[str, Described] = {
    f"{left} at the left and {top} at the top": {(across, 0, 1): first, (down, 1, 0): second}
    for left, (across, first) in _COLOURS.items()
    for top, (down, second) in _COLOURS.items()
}
"""Two waves of every wash can be described: one that changes across, one that changes down."""


TELLING = frozenset({*_COLOURS, "left", "top", "background", "card"})
"""Words by which anyone who reads this file can look for descriptions."""


def descriptions(opening: str) -> tuple[str, ...]:
    """All descriptions, each behind the same opening words."""
    return tuple(f"{opening} {words}" for words in DESCRIBED)


def positions(waves: Waves, described: Described) -> dict[int, int]:
    """Described signs by their position in a mark's vector of signs."""
    modes = waves.modes.tolist()
    return {channel * len(modes) + modes.index([u, v]): sign for (channel, u, v), sign in described.items()}
