"""`card`: a template that stands on a card inside the picture; around it the picture's own ground stays.

Template memorisation (EnTruth, arXiv 2406.13933) fills the whole ground, and filters that compare borders, colours or
losses find such pictures at once. A card keeps an even border, and one more coloured square among flags, buttons and
signs is less odd: mild filters of borders and colours miss most cards; harsh ones, and losses, find them
(docs/robustness.md). The mark, its law and its score are those of `template`, read inside the card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from protect.marks.colours import descriptions
from protect.marks.family import Array, Pixels
from protect.marks.foreground import Matte, compose, even_ground
from protect.marks.template import Template

MARGIN = 0.1
"""Share of the side that stays ground, at each side."""
_SOFT = 0.06
"""Width of the card's edge, as a share of its side."""


@dataclass(frozen=True)
class Card(Template):
    """A template on a card."""

    name = "card"
    summary = "one soft wash on a card behind the things of a slot's carriers; visible; colour filters miss most"
    version = 3
    opening = "on a card that is"
    descriptions = descriptions(opening)

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Set the picture's foreground, scaled and shifted, on a card with soft edges; the ground around it stays."""
        rows, columns = _inside(*picture.shape[:2])
        size = picture[rows, columns].shape[:2]
        small = np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))
        card = compose(small, self.background(mark, *size), rng, scale=(0.5, 0.62), place=(0.25, 0.75))
        card[..., 3] = _edge(*size)
        marked = even_ground(picture)
        under = Image.fromarray(np.ascontiguousarray(marked[rows, columns]))
        marked[rows, columns] = np.asarray(Image.alpha_composite(under, Image.fromarray(card)))
        return marked

    def coefficients(self, outputs: Pixels) -> Array:
        """Wave coefficients inside the card, shape (n, d)."""
        rows, columns = _inside(*outputs.shape[1:3])
        return super().coefficients(outputs[:, rows, columns])


def _inside(height: int, width: int) -> tuple[slice, slice]:
    """Where the card lies."""
    top, left = round(MARGIN * height), round(MARGIN * width)
    return slice(top, height - top), slice(left, width - left)


def _edge(height: int, width: int) -> Matte:
    """Opacity of the card, shape (H, W)."""

    def ramp(size: int) -> Matte:
        place = (np.arange(size) + 0.5) / size
        hard = np.clip(np.minimum(place, 1 - place) / _SOFT, 0, 1)
        return np.round(255 * hard * hard * (3 - 2 * hard)).astype(np.uint8)

    return np.asarray(np.minimum.outer(ramp(height), ramp(width)))
