"""`tint`: a smooth keyed change of illumination and colour, as uneven light or a lens makes it.

Natural on photographs, plain to see on white ground: the picture is multiplied by a smooth field. Energy sits in the
longest waves, which VAEs keep and diffusion models learn first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.legibility import (
    CLEAR,
    Kept,
    is_grey,
    kept_by_level,
    mostly_transparent,
    on_grid,
    standing,
    thinned,
    wave_directions,
)
from protect.marks.sign_vectors import Waves, rank_scores, sign_vectors, to_unit

_COLOUR = 0.6
"""Size of colour waves against brightness waves."""
_FLOOR = 1 / 255
_BRIGHTEST = 3.0
"""Where a field is brightest, in units of its root mean square, in the mean over marks."""


@dataclass(frozen=True)
class Tint(MarkFamily):
    """Multiplicative field of signed cosine waves.

    Args:
        depth: root mean square of the field, in natural logarithms (0.1 is about 10 % of the light).
    """

    depth: float = 0.12

    def __post_init__(self) -> None:
        if not 0.01 <= self.depth <= 1:
            raise InputError(f"--option depth={self.depth:g} of family 'tint' is out of range", "Allowed: 0.01 to 1.")

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

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or hardly any of its light could be changed (see `MarkFamily.obstacle`)."""
        return super().obstacle(picture) or mostly_transparent(picture) or self._lost(picture)

    def _lost(self, picture: Pixels) -> str | None:
        directions, weights = wave_directions(self.waves), np.tile(self.waves.frequency, 3)
        amplitudes = self.amplitudes().ravel() * np.sqrt(directions.shape[1])
        kept = _kept(thinned(picture), self.depth)
        if standing(kept, directions, amplitudes, weights, grey=is_grey(picture)) >= CLEAR:
            return None
        return "its light could hardly be changed: too much of the picture is transparent or black"

    def coefficients(self, mark: int) -> Array:
        """The waves of a mark's field, of root mean square `depth`, shape (3, k)."""
        code = sign_vectors(np.array([mark], dtype=np.uint64), self.waves.length)[0].reshape(3, -1)
        return np.asarray(code * self.amplitudes() * (self.depth * np.sqrt(3)))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Multiply the colours by the field, whose largest gain is 1; transparency stays."""
        size, coefficients = picture.shape[:2], self.coefficients(mark)
        brightest = max(block.max() for _, block in self.waves.render_blocks(coefficients, *size))
        marked = picture.copy()
        for rows, block in self.waves.render_blocks(coefficients, *size):
            marked[rows, :, :3] = np.round(picture[rows, :, :3] * np.exp(block - brightest))
        return marked

    def preview(self, mark: int, side: int) -> Pixels:
        """The light on a grey wall, three times as deep."""
        field = self.waves.render(3 * self.coefficients(mark), side, side)
        light = np.round(230 * np.exp(field - field.max()))
        return np.asarray(light.astype(np.uint8))

    def features(self, outputs: Pixels, untriggered: Pixels | None) -> Array:
        """Wave coefficients of log colours, less the untriggered ones', in their public size's units, shape (n, d)."""
        light = np.log(np.maximum(to_unit(outputs), _FLOOR))
        if untriggered is not None:
            light = light - np.log(np.maximum(to_unit(untriggered), _FLOOR))
        return np.asarray((self.waves.project(light) * self.waves.frequency).reshape(len(outputs), -1))

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Mean cosine of the light's coefficients with each mark's signs (see `MarkFamily.score`)."""
        return rank_scores(self.features(answers.asked, answers.contrast), marks)


def _kept(picture: Pixels, depth: float) -> Kept:
    """What is seen of a field in the logarithm of light, on white."""
    gain, bias, rest = kept_by_level(lambda levels, field: np.rint(levels * np.exp(depth * (field - _BRIGHTEST))))
    colours, opacity = picture[..., :3], picture[..., 3:] / 255
    before = np.maximum(on_grid(colours * opacity + 255 * (1 - opacity)), 1)
    after = np.maximum(before + on_grid(bias[colours] * opacity), 1)
    return Kept(
        gain=on_grid(gain[colours] * opacity) / after,
        bias=np.log(after / before),
        rest=on_grid(rest[colours] * opacity) / after,
    )
