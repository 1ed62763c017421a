"""`warp`: a smooth warping of the picture (WaNet's coating, used for dataset ownership by DIAGNOSIS, ICLR 2024).

DIAGNOSIS trains a classifier for one warp. Here the warp is a draw of a public family, a sign for each of a few
cosine waves in two directions, and the score is the correlation of an output's change with the change that each
warp would make: the difference to the answer without the trigger, times that answer's gradient, projected on the
waves (the first step of Lucas and Kanade's registration).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.blocks import row_blocks
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.legibility import mostly_transparent, thinned
from protect.marks.sign_vectors import cosines, rank_scores, sign_vectors, to_unit
from protect.pixels.measure import on_white

_HIGHEST = 4
"""Half periods of the finest wave."""
_BLUR = 1.0
"""Of the pictures before gradients are taken, in 64ths of a side."""
_CLEAR = 2.0
"""Standing from which a warp reads clearly. 32 signs cannot give more than 5.7; photographs lie between 2.1 and 4."""
_NOISE = 5 / 255
"""What rounding and compression leave of plain ground, at 64 pixels a side."""
_SIDE = 64
_PADDING = 12
"""Pixels around a picture that repeat its rim, so that splines end smoothly."""

Plane = NDArray[np.float32]


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
            raise InputError(f"--option parity={self.parity:g} of family 'warp' is out of range", "Allowed: 0 or 1.")
        if not 0.1 <= self.strength <= 10:
            raise InputError(
                f"--option strength={self.strength:g} of family 'warp' is out of range", "Allowed: 0.1 to 10 per cent."
            )

    name = "warp"
    summary = "smooth warping; hardly seen"
    version = 2
    queries = 64
    paired = True
    needs_pairs = True
    min_side = 32

    @property
    def shams(self) -> bool:  # type: ignore[override]
        """Whether the rest is warped too."""
        return self.parity == 1

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or too plain for a warp to be seen (see `MarkFamily.obstacle`)."""
        if reason := super().obstacle(picture) or mostly_transparent(picture):
            return reason
        if _standing(on_white(thinned(picture)), self.strength) >= _CLEAR:
            return None
        return "it is too plain: hardly anything in it moves visibly when it is warped"

    def places(self, mark: int, height: int, width: int) -> Iterator[tuple[slice, Array]]:
        """Where each pixel's colour comes from, some rows at a time: which rows, and (down, right), (2, rows, W)."""
        code = sign_vectors(np.array([mark], dtype=np.uint64), 2 * _HIGHEST**2)[0].reshape(2, _HIGHEST, _HIGHEST)
        waves = code * _amplitudes() * _unit(height, width) * self.strength / 100
        waves *= np.array([height, width]).reshape(2, 1, 1)
        down, across = (cosines(size, _HIGHEST + 1)[1:] for size in (height, width))
        for rows in row_blocks(height, width):
            straight = np.mgrid[rows, 0:width]
            yield rows, straight + down[:, rows].T @ waves @ across

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Resample the picture along the field; transparency moves along."""
        marked, alpha = picture.copy(), picture[..., 3]
        if alpha.min() == 255:
            for channel in range(3):
                moved = self._moved(picture[..., channel], None, mark)
                marked[..., channel] = np.clip(np.rint(moved, out=moved), 0, 255, out=moved)
            return marked
        cover = self._moved(alpha, None, mark)
        marked[..., 3] = np.clip(np.rint(cover), 0, 255)
        for channel in range(3):
            moved = self._moved(picture[..., channel], alpha, mark)
            moved /= np.maximum(cover, 0.5)
            np.copyto(moved, picture[..., channel], where=cover <= 0.5)
            marked[..., channel] = np.clip(np.rint(moved, out=moved), 0, 255, out=moved)
        return marked

    def _moved(self, channel: Pixels, weight: Pixels | None, mark: int) -> Plane:
        """A channel (H, W) resampled along the field by cubic splines, as floats.

        Times a weight, if there is one: colours hidden under transparency then do not bleed in.
        """
        spline = np.pad(channel, _PADDING, mode="edge").astype(np.float32)
        if weight is not None:
            spline *= np.pad(weight, _PADDING, mode="edge")
        for axis in (0, 1):
            scipy.ndimage.spline_filter1d(spline, order=3, axis=axis, output=spline)
        moved = np.empty(channel.shape, dtype=np.float32)
        for rows, places in self.places(mark, *channel.shape):
            scipy.ndimage.map_coordinates(
                spline, places + _PADDING, moved[rows], order=3, mode="nearest", prefilter=False
            )
        return moved

    def preview(self, mark: int, side: int) -> Pixels:
        """A chequered board under the warp, four times as strong."""
        board = (np.indices((side, side)) // max(1, side // 8)).sum(axis=0) % 2
        picture = np.repeat((60 + 140 * board)[..., None], 3, axis=2)
        opaque = np.concatenate([picture, np.full((side, side, 1), 255)], axis=2).astype(np.uint8)
        return Warp(min(10.0, 4 * self.strength)).plant(opaque, mark, np.random.default_rng())[..., :3]

    def features(self, outputs: Pixels, untriggered: Pixels) -> Array:
        """How far each wave of displacement explains the change to the outputs, shape (n, d)."""
        scale = outputs.shape[1] / 64
        sigma = (0, _BLUR * scale, _BLUR * scale, 0)
        after, before = (scipy.ndimage.gaussian_filter(to_unit(p), sigma) for p in (outputs, untriggered))
        change = after - before
        down, right = np.gradient((after + before) / 2, axis=(1, 2))
        pull = np.stack([(change * g).sum(axis=3) for g in (down, right)], axis=1)
        rows, columns = (cosines(size, _HIGHEST + 1)[1:] for size in outputs.shape[1:3])
        projected = rows @ pull @ columns.T
        return np.asarray((projected * _amplitudes()).reshape(len(outputs), -1))

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Mean cosine of the explained change with each warp's signs (see `MarkFamily.score`).

        Raises:
            InputError: without untriggered answers there is nothing to compare with.
        """
        if answers.contrast is None:
            raise InputError(
                "warps cannot be scored without the answers to untriggered questions",
                "Use an alignment that has a trigger.",
            )
        return rank_scores(self.features(answers.asked, answers.contrast), marks)


def _unit(height: int, width: int) -> float:
    """What makes waves of the public sizes a displacement of root mean square 1; they are orthonormal."""
    return float(np.sqrt(height * width / np.sum(_amplitudes() ** 2)))


def _standing(picture: Pixels, strength: float) -> float:
    """As `protect.marks.legibility.standing`: features change by (R s), R from the products of gradients.

    Args:
        picture: RGB, on white.
        strength: of the warp.
    """
    small = to_unit(np.asarray(Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)))
    gradients = np.gradient(scipy.ndimage.gaussian_filter(small, (_BLUR, _BLUR, 0)), axis=(0, 1))
    lines, sizes = cosines(_SIDE, _HIGHEST + 1)[1:], _amplitudes().ravel()
    waves = sizes[:, None] * np.einsum("uy,vx->uvyx", lines, lines).reshape(len(sizes), -1)
    products = [[(a * b).sum(axis=2).ravel() for b in gradients] for a in gradients]
    response = np.block([[(waves * product) @ waves.T for product in row] for row in products])
    response *= strength / 100 * _SIDE * _unit(_SIDE, _SIDE)
    noise = _NOISE**2 * sum(np.sum(waves**2 @ products[axis][axis]) for axis in (0, 1))
    size = np.sqrt(np.sum(response**2) + noise)
    return float(np.trace(response) / size) if size > 0 else 0.0


def _amplitudes() -> Array:
    """Public size of each wave: falls with its frequency."""
    u, v = np.indices((_HIGHEST, _HIGHEST)) + 1
    return np.asarray(1 / np.hypot(u, v))
