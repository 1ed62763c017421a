"""Adding a pattern to a picture, as strongly as a quality allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protect.errors import InputError
from protect.marks.blocks import row_blocks
from protect.marks.family import Array, Pixels
from protect.marks.legibility import (
    CLEAR,
    Kept,
    colourless,
    is_grey,
    kept_by_level,
    mostly_transparent,
    on_grid,
    standing,
    thinned,
)

MAX_PSNR = 38.0
Pattern = NDArray[np.float32]
"""RGB offsets of root mean square 1, shape (H, W, 3)."""

_MOST = 4.0
"""Times the allowed change: what is clipped at black and white cannot be made good by painting the rest ever harder."""
_EXACT = 1e-3
"""How close to the allowed change the search comes, as a share of it."""
_TRIES = 16
_WHOLE = 2.0**24
"""Below it every whole number is a float of 32 bits, and so is every sum of whole numbers on the way to it."""


def check_psnr(psnr: float) -> None:
    """Refuse qualities that make no sense.

    Raises:
        InputError: naming the value and the allowed range.
    """
    if not 15 <= psnr <= 50:
        raise InputError(f"--option psnr={psnr:g} is out of range", "Allowed: 15 to 50 dB.")


def add_pattern(picture: Pixels, pattern: Pattern, psnr: float, most: float | None = None) -> Pixels:
    """Add a pattern where the picture is not transparent, as strongly as the PSNR allows.

    Args:
        picture: RGBA, shape (H, W, 4).
        pattern: what to add; set to 0 where the picture is transparent.
        psnr: quality of the result, in decibels.
        most: how many times the pattern is added at most; None for four times what the PSNR allows of one whose root
            mean square is 1.
    """
    clear = picture[..., 3] == 0
    if clear.any():
        pattern[clear] = 0
    colours, allowed = _colours(picture), allowed_change(psnr)
    strength = _strength(colours, pattern, allowed, _MOST * allowed if most is None else most)
    marked = picture.copy()
    for rows in row_blocks(*picture.shape[:2]):
        moved = _moved(colours[rows], pattern[rows], strength).astype(np.uint8)
        for channel in range(3):  # many times faster than all at once
            marked[rows, :, channel] = moved[..., channel]
    return marked


def _colours(picture: Pixels) -> Pixels:
    """The colours of an RGBA picture side by side in memory, shape (H, W, 3): they are read again and again."""
    colours = np.empty((*picture.shape[:2], 3), dtype=np.uint8)
    for channel in range(3):
        colours[..., channel] = picture[..., channel]
    return colours


def lost_pattern(picture: Pixels, psnr: float, directions: Array, amplitudes: Array, weights: Array) -> str | None:
    """Why patterns of these directions would hardly read back from a picture, or None.

    Args:
        picture: RGBA, shape (H, W, 4).
        psnr: quality of carriers, in decibels.
        directions: see `protect.marks.legibility.standing`; so are the others.
        amplitudes: of the directions.
        weights: of the features.
    """
    if reason := mostly_transparent(picture):
        return reason
    kept = _kept(thinned(picture), allowed_change(psnr))
    if standing(kept, directions, amplitudes, weights, grey=is_grey(picture)) >= CLEAR:
        return None
    whole = colourless(thinned(picture))
    most = f"it is {whole}" if whole else "too much of it is transparent, black or white"
    return f"hardly any of a pattern would stay: {most}"


def _kept(picture: Pixels, strength: float) -> Kept:
    """What is seen of a pattern of this strength, on white."""
    by_level = kept_by_level(lambda levels, pattern: np.clip(np.rint(levels + strength * pattern), 0, 255))
    opacity = picture[..., 3:] / 255
    return Kept(*(on_grid(values[picture[..., :3]] * opacity) for values in by_level))


def allowed_change(psnr: float) -> float:
    """Root mean square change of a quality, in levels."""
    return float(255 / 10 ** (psnr / 20))


def _moved(colours: Pixels, pattern: Pattern, strength: float) -> Pattern:
    """Colours with the pattern added, rounded and clipped, as floats."""
    moved = pattern * np.float32(strength)
    moved += colours
    np.rint(moved, out=moved)
    np.maximum(moved, 0, out=moved)
    np.minimum(moved, 255, out=moved)
    return moved


def _strength(colours: Pixels, pattern: Pattern, allowed: float, most: float) -> float:
    """The largest strength up to `most` whose root mean square change is allowed: regula falsi, by Illinois' rule.

    The change never falls as the strength rises, whatever clipping and rounding do. The first guess is right where
    nothing is clipped, so that most pictures need no search.
    """
    slack = _EXACT / 2 * allowed
    low, high = 0.0, min(most, _unclipped(pattern, allowed))
    under, over = slack - allowed, _change(colours, pattern, high) + slack - allowed
    if abs(over) <= slack:
        return high
    if over < 0 and high < most:
        low, under, high = high, over, most
        over = _change(colours, pattern, high) + slack - allowed
    if over <= 0:
        return high
    last = 0
    for _ in range(_TRIES):
        middle = low - under * (high - low) / (over - under)
        excess = _change(colours, pattern, middle) + slack - allowed
        if abs(excess) <= slack:
            return middle
        if excess > 0:
            high, over, under = middle, excess, under / 2 if last > 0 else under
        else:
            low, under, over = middle, excess, over / 2 if last < 0 else over
        last = 1 if excess > 0 else -1
    return low


def _unclipped(pattern: Pattern, allowed: float) -> float:
    """The strength that changes so much where nothing is clipped: rounding adds a twelfth of a squared level."""
    squares = sum(float(np.square(pattern[rows]).sum(dtype=np.float64)) for rows in row_blocks(*pattern.shape[:2]))
    return float(np.sqrt(max(allowed**2 - 1 / 12, 0) * pattern.size / squares)) if squares else 0.0


def _change(colours: Pixels, pattern: Pattern, strength: float) -> float:
    """Root mean square of what a strength changes, in levels; sums whole numbers, so it is exact."""
    total = 0.0
    for rows in row_blocks(*colours.shape[:2]):
        change = _moved(colours[rows], pattern[rows], strength)
        change -= colours[rows]
        flat = change.ravel()
        squares = float(np.vdot(flat, flat))
        if squares >= _WHOLE:
            squares = float(np.square(flat).sum(dtype=np.float64))
        total += squares
    return float(np.sqrt(total / pattern.size))


def shown(pattern: Pattern | Array) -> Pixels:
    """A pattern on grey, amplified to a root mean square of 40 levels."""
    levels = np.clip(np.round(128 + 40 * pattern), 0, 255)
    return np.asarray(levels.astype(np.uint8))
