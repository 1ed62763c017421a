"""`spread`: an imperceptible low-frequency pattern, its strength set by a PSNR cap.

Spread-spectrum watermarking (Cox et al. 1997) in waves long enough to survive a latent diffusion model's
VAE. Scores are whitened by a fixed public spectrum (pictures have about 1/f amplitudes) and taken from
the difference between an output and its twin without the trigger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.keys.tree import Ids
from protect.marks.additive import MAX_PSNR, add_pattern, check_psnr, shown
from protect.marks.family import Array, MarkFamily, Pixels
from protect.marks.sign_vectors import Waves, rank_scores, signs, to_unit


@dataclass(frozen=True)
class Spread(MarkFamily):
    """Additive pattern of signed cosine waves.

    Args:
        psnr: quality of carriers in decibels; 38 is invisible, 24 plainly visible.
    """

    psnr: float = MAX_PSNR

    def __post_init__(self) -> None:
        check_psnr(self.psnr)

    name = "spread"
    summary = "pattern of low waves, PSNR-capped; not seen"
    version = 1
    queries = 64
    paired = True
    min_side = 24

    waves = Waves(low=1, high=7)

    def pattern(self, mark: int, height: int, width: int) -> Array:
        """The pattern of a mark: RGB offsets of root mean square 1, shape (H, W, 3)."""
        code = signs(np.array([mark], dtype=np.uint64), self.waves.length)[0].reshape(3, -1)
        field = self.waves.render(code.astype(np.float64), height, width)
        return np.asarray(field / np.sqrt(np.mean(field**2)))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Add the pattern where the picture is not transparent, as strongly as the PSNR allows."""
        return add_pattern(picture, self.pattern(mark, *picture.shape[:2]), self.psnr)

    def preview(self, mark: int, side: int) -> Pixels:
        """The pattern on grey, amplified."""
        return shown(self.pattern(mark, side, side))

    def features(self, outputs: Pixels, twins: Pixels | None) -> Array:
        """Whitened wave coefficients of outputs, less those of their twins, shape (n, d)."""
        difference = to_unit(outputs) - (0 if twins is None else to_unit(twins))
        whitened = self.waves.project(difference) * self.waves.frequency
        return np.asarray(whitened.reshape(len(outputs), -1))

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Mean cosine of the paired differences with each mark's signs (see `MarkFamily.score`)."""
        return rank_scores(self.features(outputs, twins), marks)
