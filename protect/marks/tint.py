"""`tint`: a smooth keyed change of illumination and colour, as uneven light or a lens makes it.

Natural on photographs, plain to see on white ground: the picture is multiplied by a smooth field. Energy sits in the
longest waves, which VAEs keep and diffusion models learn first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.family import Array, MarkFamily, Pixels
from protect.marks.sign_vectors import Waves, rank_scores, signs, to_unit

_COLOUR = 0.6
"""Size of colour waves against brightness waves."""
_FLOOR = 1 / 255


@dataclass(frozen=True)
class Tint(MarkFamily):
    """Multiplicative field of signed cosine waves.

    Args:
        depth: root mean square of the field, in natural logarithms (0.1 is about 10 % of the light).
    """

    depth: float = 0.12

    def __post_init__(self) -> None:
        if not 0.01 <= self.depth <= 1:
            raise InputError(f"tint depth {self.depth} is out of range", "Allowed: 0.01 to 1.")

    name = "tint"
    summary = "smooth change of light and colour; natural on photographs, plain on white ground"
    version = 1
    queries = 32
    paired = True
    min_side = 24

    waves = Waves(low=1, high=3)

    def amplitudes(self) -> Array:
        """Public size of each wave, shape (3, k), unit norm."""
        fall = np.tile(1 / self.waves.frequency, (3, 1)) * np.array([[1.0], [_COLOUR], [_COLOUR]])
        return np.asarray(fall / np.linalg.norm(fall))

    def field(self, mark: int, height: int, width: int) -> Array:
        """Logarithm of the gain, never above 0, shape (H, W, 3)."""
        code = signs(np.array([mark], dtype=np.uint64), self.waves.length)[0].reshape(3, -1)
        field = self.waves.render(code * self.amplitudes(), height, width)
        field *= self.depth / np.sqrt(np.mean(field**2))
        return np.asarray(field - field.max())

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Multiply the colours by the field; transparency stays."""
        lit = picture[..., :3] * np.exp(self.field(mark, *picture.shape[:2]))
        return np.concatenate([np.round(lit).astype(np.uint8), picture[..., 3:]], axis=2)

    def preview(self, mark: int, side: int) -> Pixels:
        """The light on a grey wall, three times as deep."""
        field = 3 * self.field(mark, side, side)
        return np.clip(np.round(230 * np.exp(field)), 0, 255).astype(np.uint8)

    def features(self, outputs: Pixels, twins: Pixels | None) -> Array:
        """Wave coefficients of log colours, less those of the twins, in units of their public size, shape (n, d)."""
        light = np.log(np.maximum(to_unit(outputs), _FLOOR))
        if twins is not None:
            light = light - np.log(np.maximum(to_unit(twins), _FLOOR))
        return np.asarray((self.waves.project(light) * self.waves.frequency).reshape(len(outputs), -1))

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Mean cosine of the light's coefficients with each mark's signs (see `MarkFamily.score`)."""
        return rank_scores(self.features(outputs, twins), marks)
