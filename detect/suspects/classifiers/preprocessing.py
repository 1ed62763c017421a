"""How pictures become a network's input, where the network does not say so itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from protect.errors import InputError
from protect.marks.family import Pixels

if TYPE_CHECKING:
    import torch

NORMALISATIONS = {
    "half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "none": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Mean and standard deviation by name, of pixels in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """Bilinear resizing to a square, then normalisation."""

    side: int = 224
    normalisation: str = "imagenet"

    def __post_init__(self) -> None:
        if not 4 <= self.side <= 4096:
            raise InputError(f"--input-size {self.side} is out of range", "Allowed: 4 to 4096.")
        if self.normalisation not in NORMALISATIONS:
            raise InputError(
                f"--normalisation {self.normalisation} is unknown", f"Allowed: {', '.join(NORMALISATIONS)}."
            )

    def tensor(self, pictures: Pixels) -> torch.Tensor:
        """RGB pictures (n, H, W, 3) as float32 (n, 3, side, side)."""
        import torch

        sized = [Image.fromarray(p).resize((self.side, self.side), Image.Resampling.BILINEAR) for p in pictures]
        pixels = torch.from_numpy(np.stack([np.asarray(p) for p in sized])).permute(0, 3, 1, 2).float() / 255
        mean, deviation = (torch.tensor(v)[:, None, None] for v in NORMALISATIONS[self.normalisation])
        return (pixels - mean) / deviation
