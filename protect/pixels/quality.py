"""Which quality a lossy file was saved with, where the file does not say."""

from __future__ import annotations

import math
from collections.abc import Callable

from protect.pixels.error import PictureError

_CLOSE = 0.02
_TRIES = 6
_LONGEST_STEP = 25
"""Sizes run away near quality 100."""
_STRAIGHT = 4
"""Tries after which the middle counts too, since the line is bent."""
_STEEP = 75
"""Quality above which files grow faster."""


def matching_quality(size_at: Callable[[int], int], size: int, start: int = 80) -> int:
    """The quality at which coding a picture again gives a file as large as it is.

    Sizes grow with quality; the search follows the logarithm of size, which is nearly straight over small steps.

    Args:
        size_at: bytes at a quality, 0 to 100. Costs an encoding.
        size: bytes wanted.
        start: quality to try first.

    Returns:
        The best quality that was tried, within 2 % of the size if it can be had; at most 6 are tried.

    Raises:
        PictureError: if the size is 0: the file holds no coded picture of its own, such as an animation.

    >>> matching_quality(lambda quality: 1000 + 10 * quality, 1500)
    49
    """
    if size < 1:
        raise PictureError("it holds no single coded picture to match in size (an animation?)")
    found = {start: size_at(start)}
    while len(found) < _TRIES and abs(math.log(found[_best(found, size)] / size)) > _CLOSE:
        following = _next(found, size)
        if following in found:
            break
        found[following] = size_at(following)
    return _best(found, size)


def _best(found: dict[int, int], size: int) -> int:
    return min(found, key=lambda quality: (abs(math.log(found[quality] / size)), quality))


def _next(found: dict[int, int], size: int) -> int:
    """The quality between the nearest neighbours on both sides, or a step beyond the last."""
    below = max((q for q, s in found.items() if s <= size), default=None)
    above = min((q for q, s in found.items() if s > size), default=None)
    if below is None or above is None:
        reached = min(found) if below is None else max(found)
        step = math.ceil(_slope(found, reached) * abs(math.log(found[reached] / size)))
        step = min(max(1, step), _LONGEST_STEP)
        return max(0, reached - step) if below is None else min(100, reached + step)
    low, high = math.log(found[below]), math.log(found[above])
    share = (math.log(size) - low) / (high - low) if high > low else 0.5
    share = (share + 0.5) / 2 if len(found) > _STRAIGHT else share
    return min(max(round(below + share * (above - below)), below + 1), above - 1) if above - below > 1 else below


def _slope(found: dict[int, int], reached: int) -> float:
    """Quality per logarithm of size near `reached`: as found so far, else as is usual."""
    nearest = sorted(found, key=lambda quality: abs(quality - reached))[1:2]
    for other in nearest:
        if found[other] != found[reached]:
            return abs((other - reached) / math.log(found[other] / found[reached]))
    return 45 if reached < _STEEP else 30
