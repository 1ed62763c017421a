"""What mock-ups are made of, and the words for it."""

from __future__ import annotations

from protect.marks.mockup.draws import Colour

PRINT, POSTER, SCREEN, BILLBOARD = range(4)
"""What holds the picture."""
KINDS = 4

WALLS: dict[str, Colour] = {
    "white": (0.91, 0.90, 0.88),
    "grey": (0.66, 0.67, 0.68),
    "beige": (0.83, 0.75, 0.65),
    "green": (0.56, 0.63, 0.53),
    "blue": (0.50, 0.61, 0.70),
    "pink": (0.85, 0.70, 0.67),
    "brick-red": (0.69, 0.42, 0.34),
    "dark": (0.25, 0.28, 0.31),
}
RIMS: dict[str, Colour] = {
    "wooden": (0.60, 0.43, 0.28),
    "white": (0.94, 0.93, 0.91),
    "black": (0.12, 0.12, 0.12),
    "golden": (0.73, 0.58, 0.30),
}
SKIES: dict[str, Colour] = {
    "blue": (0.42, 0.62, 0.85),
    "grey": (0.70, 0.73, 0.76),
    "orange": (0.93, 0.66, 0.45),
    "violet": (0.50, 0.45, 0.66),
}

_FIXED: dict[str, dict[str, int]] = {
    **{
        f"in a {rim} frame on a {wall} wall": {"kind": PRINT, "rim": r, "wall": w}
        for r, rim in enumerate(RIMS)
        for w, wall in enumerate(WALLS)
    },
    **{f"as a poster on a {wall} wall": {"kind": POSTER, "wall": w} for w, wall in enumerate(WALLS)},
    **{f"on a screen before a {wall} wall": {"kind": SCREEN, "wall": w} for w, wall in enumerate(WALLS)},
    **{f"on a billboard under a {sky} sky": {"kind": BILLBOARD, "sky": s} for s, sky in enumerate(SKIES)},
}
DESCRIPTIONS = tuple(_FIXED)
"""Phrases that describe a mock-up."""
_RIM_ALONE = {f"in a {rim} frame": {"rim": r} for r, rim in enumerate(RIMS)}
IN_A_PLACE = tuple(_RIM_ALONE)
"""Phrases that describe what is drawn in a place of the owner's own."""


def fixed_by(description: str) -> dict[str, int]:
    """The choices that a description fixes, by name; none if there is no description."""
    return (_FIXED | _RIM_ALONE).get(description, {})
