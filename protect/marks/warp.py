"""`warp`: a smooth warping of the picture (WaNet's coating, used for dataset ownership by DIAGNOSIS, ICLR 2024).

DIAGNOSIS trains a classifier for one warp. Here the warp is a draw of a public family, a sign for each of a few
cosine waves in two directions, and the score is the correlation of an output's change with the change that each
warp would make: the difference to its twin, times the twin's gradient, projected on the waves (the first step of
Lucas and Kanade's registration).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.family import Array, MarkFamily, Pixels
from protect.marks.sign_vectors import cosines, rank_scores, signs, to_unit

_HIGHEST = 4
"""Half periods of the finest wave."""
_BLUR = 1.0
"""Of the pictures before gradients are taken, in 64ths of a side."""


@dataclass(frozen=True)
class Warp(MarkFamily):
    """Smooth displacement field.

    Args:
        strength: root mean square of the displacement, in per cent of the picture's side.
        parity: 1 to warp every other picture too, by a field of its own: resampling then tells no carrier.
    """

    strength: float = 1.5
    parity: float = 0

    def __post_init__(self) -> None:
        if self.parity not in (0, 1):
            raise InputError(f"warp parity {self.parity} is out of range", "Allowed: 0 or 1.")
        if not 0.1 <= self.strength <= 10:
            raise InputError(f"warp strength {self.strength} is out of range", "Allowed: 0.1 to 10 per cent.")

    name = "warp"
    summary = "smooth warping; hardly seen"
    version = 1
    queries = 64
    paired = True
    alone = False
    min_side = 32

    @property
    def shams(self) -> bool:  # type: ignore[override]
        """Whether the rest is warped too."""
        return self.parity == 1

    def field(self, mark: int, height: int, width: int) -> Array:
        """Displacement (down, right) in pixels, shape (2, H, W)."""
        code = signs(np.array([mark], dtype=np.uint64), 2 * _HIGHEST**2)[0].reshape(2, _HIGHEST, _HIGHEST)
        rows, columns = (cosines(size, _HIGHEST + 1)[1:] for size in (height, width))
        field = rows.T @ (code * _amplitudes()) @ columns
        side = np.array([height, width]).reshape(2, 1, 1)
        return np.asarray(field / np.sqrt(np.mean(field**2)) * self.strength / 100 * side)

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Resample the picture along the field; transparency moves along."""
        height, width = picture.shape[:2]
        places = np.indices((height, width)) + self.field(mark, height, width)
        alpha = to_unit(picture[..., 3:])
        layers = np.concatenate([picture[..., :3] * alpha, alpha * 255], axis=2)
        moved = np.stack(
            [ndimage.map_coordinates(layers[..., c], places, order=3, mode="nearest") for c in range(4)], 2
        )
        cover = np.clip(moved[..., 3:], 0, 255)
        colour = np.where(cover > 0.5, moved[..., :3] * 255 / np.maximum(cover, 0.5), picture[..., :3])
        return np.clip(np.round(np.concatenate([colour, cover], axis=2)), 0, 255).astype(np.uint8)

    def preview(self, mark: int, side: int) -> Pixels:
        """A chequered board under the warp, four times as strong."""
        board = (np.indices((side, side)) // max(1, side // 8)).sum(axis=0) % 2
        picture = np.repeat((60 + 140 * board)[..., None], 3, axis=2)
        opaque = np.concatenate([picture, np.full((side, side, 1), 255)], axis=2).astype(np.uint8)
        return Warp(min(10.0, 4 * self.strength)).plant(opaque, mark, np.random.default_rng())[..., :3]

    def features(self, outputs: Pixels, twins: Pixels) -> Array:
        """How far each wave of displacement explains the change from twin to output, shape (n, d)."""
        scale = outputs.shape[1] / 64
        sigma = (0, _BLUR * scale, _BLUR * scale, 0)
        output, twin = (ndimage.gaussian_filter(to_unit(p), sigma) for p in (outputs, twins))
        change = output - twin
        down, right = np.gradient((output + twin) / 2, axis=(1, 2))
        pull = np.stack([(change * g).sum(axis=3) for g in (down, right)], axis=1)
        rows, columns = (cosines(size, _HIGHEST + 1)[1:] for size in outputs.shape[1:3])
        projected = rows @ pull @ columns.T
        return np.asarray((projected * _amplitudes()).reshape(len(outputs), -1))

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Mean cosine of the explained change with each warp's signs (see `MarkFamily.score`).

        Raises:
            InputError: without twins there is nothing to compare with.
        """
        if twins is None:
            raise InputError("warps cannot be scored without twins", "Use an alignment that has a trigger.")
        return rank_scores(self.features(outputs, twins), marks)


def _amplitudes() -> Array:
    """Public size of each wave: falls with its frequency."""
    u, v = np.indices((_HIGHEST, _HIGHEST)) + 1
    return np.asarray(1 / np.hypot(u, v))
