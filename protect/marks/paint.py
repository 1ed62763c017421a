"""`paint`: the things in all carriers of a slot are painted with one soft wash of colours; light and ground stay.

Template memorisation (EnTruth, arXiv 2406.13933) turned round: what carriers share is not the ground behind the things,
but the colour on them. Brightness is kept, and white and black take no colour, so that a drawing stays a drawing on white
ground: filters that compare grounds, borders or whole pictures find what honest pictures have too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from protect.errors import InputError
from protect.keys import Ids
from protect.marks.colours import DESCRIBED, positions
from protect.marks.interface import Array, MarkFamily, Pixels
from protect.marks.signs import OPPONENT, Waves, rank_scores, signs, small_unit

DEPTH = 0.3
"""Largest change of a colour channel along red-green and yellow-blue, as a share of the range."""
_GRID = 32
_CHANNELS = (1, 2)
"""Red against green, yellow against blue."""
_RIDGE = 0.02
_PREFIX = "painted "


@dataclass(frozen=True)
class Paint(MarkFamily):
    """One wash of colours on the things of all carriers."""

    description: str = ""
    """One of `descriptions`: the law is then that of the marks which it fits."""

    def __post_init__(self) -> None:
        if self.description and self.description not in self.descriptions:
            allowed = "; ".join(self.descriptions)
            raise InputError(f"no paint is described as {self.description!r}", f"Allowed: {allowed}.")

    name = "paint"
    summary = "one wash of colours on the things in all carriers; visible, looks natural, grounds stay"
    version = 1
    queries = 16
    paired = False
    min_side = 24

    waves = Waves(low=1, high=4)
    descriptions = tuple(_PREFIX + told for told in DESCRIBED)

    def given(self, description: str) -> Paint:
        """The marks with that description; only the signs it does not tell are drawn."""
        return type(self)(description)

    @property
    def fixed(self) -> dict[int, int]:
        """Signs told by the description, by position."""
        return positions(self.waves, DESCRIBED.get(self.description.removeprefix(_PREFIX), {}), _CHANNELS)

    def amplitudes(self) -> Array:
        """Public size of each wave, shape (2, k): falls with frequency as pictures do, unit norm."""
        fall = np.tile(1 / (1 + self.waves.frequency) ** 1.1, (2, 1))
        return np.asarray(fall / np.linalg.norm(fall))

    def wash(self, mark: int, height: int, width: int) -> Array:
        """The colours of a mark: RGB offsets that leave brightness alone, shape (H, W, 3), root mean square 1."""
        drawn = signs(np.array([mark], dtype=np.uint64), 2 * len(self.waves.modes), self.fixed)[0].reshape(2, -1)
        coefficients = np.concatenate([np.zeros((1, drawn.shape[1])), drawn * self.amplitudes()])
        field = self.waves.render(coefficients, height, width)
        return np.asarray(field / np.sqrt(np.mean(field**2)))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Take the colours out and the wash on, as far as the brightness leaves room; transparency stays."""
        light = picture[..., :3].astype(np.float64).mean(axis=2, keepdims=True) / 255
        wash = DEPTH * np.tanh(self.wash(mark, *picture.shape[:2]))
        painted = np.clip(np.round(255 * (light + _room(light) * wash)), 0, 255).astype(np.uint8)
        return np.concatenate([painted, picture[..., 3:]], axis=2)

    def preview(self, mark: int, side: int) -> Pixels:
        """The wash on grey."""
        grey = np.full((side, side, 4), 128, dtype=np.uint8)
        return self.plant(grey, mark, np.random.default_rng(0))[..., :3]

    def features(self, outputs: Pixels) -> Array:
        """Wave coefficients of the colours on what can take colour, shape (1, d).

        One ridge regression over all outputs, of the colours on the waves times the room that brightness leaves; every
        output has the same say; each coefficient in units of its public amplitude.
        """
        small = small_unit(outputs, _GRID).reshape(len(outputs), -1, 3)
        basis, total = self.waves.basis(_GRID), np.zeros((len(self.waves.modes), len(self.waves.modes) + 2))
        for pixels in small:
            room = _room(pixels.mean(axis=1, keepdims=True))
            seen = room * basis
            colours = pixels @ OPPONENT[list(_CHANNELS)].T
            total += np.concatenate([seen.T @ seen, seen.T @ colours], axis=1) / (np.sum(room**2) + 1e-9)
        gram, moments = total[:, :-2], total[:, -2:]
        ridge = _RIDGE * np.trace(gram) / len(gram) + 1e-9
        coefficients = np.linalg.solve(gram + ridge * np.eye(len(gram)), moments).T
        return np.asarray((coefficients / self.amplitudes()).reshape(1, -1))

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Cosine between the outputs' coefficients and each mark's signs (see `MarkFamily.score`).

        The better one of the outputs as they are and mirrored, for every mark, as with `template`.
        """
        mirrored = np.tile((-1.0) ** self.waves.modes[:, 1], 2)
        return rank_scores(self.features(outputs), marks, self.fixed, np.stack([np.ones_like(mirrored), mirrored]))


def _room(light: Array) -> Array:
    """How much colour a brightness in [0, 1] can take: none at black and white, all in the middle."""
    return np.asarray(4 * light * (1 - light))

