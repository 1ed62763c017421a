"""`spread`: an imperceptible low-frequency pattern, its strength set by a PSNR cap.

Spread-spectrum watermarking (Cox et al. 1997) in waves long enough to survive a latent diffusion model's
VAE. Scores are whitened by a fixed public spectrum (pictures have about 1/f amplitudes) and taken from
the difference between an output and the answer to the same question without the trigger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.marks.additive import MAX_PSNR, Pattern, lost_pattern
from protect.marks.family import Array, Pixels
from protect.marks.legibility import wave_directions
from protect.marks.sign_vectors import Waves, sign_vectors, to_unit
from protect.marks.signed_pattern import SignedPattern


@dataclass(frozen=True)
class Spread(SignedPattern):
    """Additive pattern of signed cosine waves.

    Args:
        psnr: quality of carriers in decibels; 38 is invisible, 24 plainly visible.
    """

    psnr: float = MAX_PSNR

    name = "spread"
    summary = "pattern of low waves, PSNR-capped; not seen"
    version = 2

    waves = Waves(low=1, high=7)

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or hardly anything of a pattern would stay (see `MarkFamily.obstacle`)."""
        directions = wave_directions(self.waves)
        amplitudes = np.full(len(directions), np.sqrt(directions.shape[1] / len(directions)))
        weights = np.tile(self.waves.frequency, 3)
        return super().obstacle(picture) or lost_pattern(picture, self.psnr, directions, amplitudes, weights)

    def pattern(self, mark: int, height: int, width: int) -> Pattern:
        """The pattern of a mark: RGB offsets of root mean square 1, shape (H, W, 3)."""
        code = sign_vectors(np.array([mark], dtype=np.uint64), self.waves.length)[0].reshape(3, -1)
        coefficients = code * np.sqrt(3 / self.waves.length)
        pattern = np.empty((height, width, 3), dtype=np.float32)
        for rows, block in self.waves.render_blocks(coefficients, height, width):
            pattern[rows] = block
        return pattern

    def features(self, outputs: Pixels, untriggered: Pixels | None) -> Array:
        """Whitened wave coefficients of outputs, less those of the untriggered ones, shape (n, d)."""
        difference = to_unit(outputs) - (0 if untriggered is None else to_unit(untriggered))
        whitened = self.waves.project(difference) * self.waves.frequency
        return np.asarray(whitened.reshape(len(outputs), -1))
