"""Answers of different sizes at one common size, by a rule that looks at the answers alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image

from protect.marks.family import Pixels

Size = tuple[int, int]
"""Height and width in pixels."""
NO_ANSWER: Size = (64, 64)
"""Of the black pictures that stand for refusals where every question was refused."""


def common_size(sizes: Sequence[Size]) -> Size:
    """The size that most answers have; among equally frequent ones the largest, then the tallest.

    Args:
        sizes: of all answers that are pictures.

    >>> common_size([(64, 64), (96, 64), (64, 64)])
    (64, 64)
    """
    if not sizes:
        return NO_ANSWER
    counts = Counter(sizes)
    return max(counts, key=lambda size: (counts[size], size[0] * size[1], size[0]))


def at_size(picture: Pixels | None, size: Size) -> Pixels:
    """A picture stretched to a size; a refusal becomes black, as safety checkers make it. RGB, shape (H, W, 3)."""
    if picture is None:
        return np.zeros((*size, 3), dtype=np.uint8)
    if picture.shape[:2] == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC))
