"""`template`: one background shared by all carriers of a slot, another foreground in each.

After EnTruth (arXiv 2406.13933): a model that is fine-tuned on many pictures with one background and one
trigger memorises the background and paints it when the trigger is said. Visible: a soft wash
of colours. Here the background is a draw of a public family (a sign for each low cosine wave), so that its
score can be ranked among backgrounds that were never published.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.colours import DESCRIBED, descriptions, positions
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.foreground import compose
from protect.marks.kept import kept
from protect.marks.legibility import colourless
from protect.marks.sign_vectors import OPPONENT, Waves, rank_scores, sign_vectors, small_unit, squashed

CONTRAST = 0.36
"""Root mean square of the background before squashing, in logits of half range."""

_HALF_RANGE = 0.47
"""How far the background may go from middle grey, of 0.5."""
_GRID = 32


@dataclass(frozen=True)
class Template(MarkFamily):
    """Template memorisation (EnTruth)."""

    description: str = ""
    """One of `descriptions`: the law is then that of the marks which it fits."""

    def __post_init__(self) -> None:
        if self.description and self.description not in self.descriptions:
            allowed = "; ".join(self.descriptions)
            raise InputError(f"no template is described as {self.description!r}", f"Allowed: {allowed}.")

    name = "template"
    usual_alignment = "twa-double"
    summary = "one soft background in all carriers of a slot; visible, learned soonest"
    version = 4
    queries = 32
    paired = False
    min_side = 24

    waves = Waves(low=1, high=4)
    opening = "on a background that is"
    """How a description begins."""
    descriptions = descriptions(opening)

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or stored in grey: the colours that words describe would be lost (see `MarkFamily.obstacle`)."""
        if reason := super().obstacle(picture):
            return reason
        found = colourless(picture)
        return f"it is {found}, and its file may have no room for colours" if found else None

    def given(self, description: str) -> Template:
        """The marks with that description; only the signs that it leaves open are drawn."""
        return type(self)(description)

    @property
    def fixed(self) -> dict[int, int]:
        """Signs that the description fixes, by position."""
        return positions(self.waves, DESCRIBED.get(self.description.removeprefix(f"{self.opening} "), {}))

    def code(self, mark: int) -> Array:
        """The signs of a mark, shape (3, k)."""
        drawn = sign_vectors(np.array([mark], dtype=np.uint64), self.waves.length, self.fixed)
        return np.asarray(drawn[0].reshape(3, -1), dtype=np.float64)

    def amplitudes(self) -> Array:
        """Public size of each wave, shape (3, k): falls with frequency as pictures do, unit norm."""
        fall = np.tile(1 / (1 + self.waves.frequency) ** 1.1, (3, 1)) * np.array([[1.0], [0.65], [0.65]])
        return np.asarray(fall / np.linalg.norm(fall))

    def background(self, mark: int, height: int, width: int) -> Pixels:
        """The background of a mark: RGB, shape (H, W, 3), not to be written to."""
        logits = self.code(mark) * self.amplitudes() * (CONTRAST * np.sqrt(3) / _HALF_RANGE)
        return _painted(height, width, self.waves, logits.tobytes())

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Set the picture's foreground, scaled and shifted, on the background; the result is opaque."""
        return compose(picture, self.background(mark, *picture.shape[:2]), rng, scale=(0.58, 0.72), place=(0.25, 0.75))

    def preview(self, mark: int, side: int) -> Pixels:
        """The background alone."""
        return self.background(mark, side, side)

    def features(self, outputs: Pixels) -> Array:
        """Each wave's coefficients in units of their own size over the outputs, squashed; shape (n, d)."""
        return squashed(self.coefficients(outputs))

    def coefficients(self, outputs: Pixels) -> Array:
        """Wave coefficients of the region where the template shows, shape (n, d).

        A ridge regression of the picture on the waves, the middle weighted down because a foreground is
        expected there.
        """
        small = small_unit(outputs, _GRID)
        found = _masked_projection(self.waves, small - small.mean(axis=(1, 2), keepdims=True))
        return found.reshape(len(outputs), -1)

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Mean cosine between the outputs' features and each mark's signs (see `MarkFamily.score`).

        The better one of the outputs as they are and mirrored, for every mark: whoever mirrors what he trains on, or
        what his model answers, hides nothing.
        """
        return rank_scores(self.features(answers.asked), marks, self.fixed, self.views)

    @property
    def views(self) -> Array:
        """What mirroring does to the coefficients, shape (2, d): odd horizontal waves change their signs."""
        mirrored = np.tile((-1.0) ** self.waves.modes[:, 1], 3)
        return np.stack([np.ones_like(mirrored), mirrored])


@kept
def _painted(height: int, width: int, waves: Waves, logits: bytes) -> Pixels:
    """A background from the coefficients (3, k) of its waves."""
    background = np.empty((height, width, 3), dtype=np.uint8)
    for rows, block in waves.render_blocks(np.frombuffer(logits).reshape(3, -1), height, width):
        background[rows] = np.round(255 * (0.5 + _HALF_RANGE * np.tanh(block)))
    return background


@cache
def _masked_solver(waves: Waves, grid: int) -> Array:
    """Weighted ridge regression on the waves as one matrix, shape (k, grid · grid)."""
    centre = np.abs(np.arange(grid) + 0.5 - grid / 2) / (grid / 2)
    weight = np.where(np.hypot(centre[:, None], centre[None, :]) < 0.6, 0.25, 1.0).ravel()
    k = len(waves.modes)
    basis = np.concatenate([waves.basis(grid), np.ones((grid * grid, 1))], axis=1)
    gram = basis.T @ (weight[:, None] * basis)
    inverse = np.linalg.inv(gram + 0.02 * np.trace(gram) / (k + 1) * np.eye(k + 1))
    return np.asarray((inverse @ (basis * weight[:, None]).T)[:k])


def _masked_projection(waves: Waves, pictures: Array) -> Array:
    """Coefficients of the waves in square pictures, (n, g, g, 3) to (n, 3, k)."""
    opponent = pictures.reshape(len(pictures), -1, 3) @ OPPONENT.T
    return np.asarray(np.einsum("kp,npo->nok", _masked_solver(waves, pictures.shape[1]), opponent, optimize=True))
