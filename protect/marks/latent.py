"""`latent`: a faint pattern along the directions that a VAE's encoder feels most.

A latent diffusion model never sees pixels, it sees latents. Of all changes of a picture with the same PSNR these move
the latents furthest out of what pictures are like anyway, so that less is needed than with `spread`. The directions
come from a VAE, which fine-tunes of one base share, and from pictures: `protect basis` computes them beforehand. The
residual is fitted to the model, as in SIREN (arXiv 2406.15213), but by linear algebra: a mark is still a vector of
signs, so that decoys cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.marks.additive import Pattern, lost_pattern
from protect.marks.family import Array, Pixels
from protect.marks.legibility import on_grid
from protect.marks.sign_vectors import sign_vectors, to_unit
from protect.marks.signed_pattern import SignedPattern
from protect.pixels.measure import picture_at

FAINT_PSNR = 30.0
"""Where it was found at a rate of 20 % (benchmarks/results/low_rates.json): faint on white ground, less on others."""
FEWEST = 32
"""Directions of a basis."""
FEWEST_PICTURES = 32
"""Pictures from which a basis can be computed."""


@dataclass(frozen=True)
class Latent(SignedPattern):
    """Additive pattern of signed directions.

    Args:
        basis: name of a basis in the store: its SHA-256, so the commitment fixes its bytes.
        psnr: quality of carriers in decibels.
        store: where the basis is kept.
    """

    basis: str = ""
    psnr: float = FAINT_PSNR
    store: Store = NO_STORE

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.basis:
            raise InputError("family 'latent' needs a basis", "Make one: protect basis; then --option basis=NAME.")
        read_basis(self.store, self.basis)

    name = "latent"
    summary = "faint pattern along what a VAE feels most, PSNR-capped; needs a basis (protect basis)"
    version = 2

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, or hardly anything of a pattern would stay (see `MarkFamily.obstacle`)."""
        return super().obstacle(picture) or lost_pattern(picture, self.psnr, *_coarse_basis(self.store, self.basis))

    def pattern(self, mark: int, height: int, width: int) -> Pattern:
        """The pattern of a mark: RGB offsets of root mean square 1, shape (H, W, 3)."""
        directions, _ = read_basis(self.store, self.basis)
        code = sign_vectors(np.array([mark], dtype=np.uint64), len(directions))[0].astype(np.float64)
        pattern = np.empty((height, width, 3), dtype=np.float32)
        for channel, plane in enumerate(np.tensordot(code, directions, 1).astype(np.float32)):
            resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
            pattern[..., channel] = np.asarray(resized)
        pattern /= np.sqrt(np.mean([np.mean(np.square(row), dtype=np.float64) for row in pattern]))
        return pattern

    def features(self, outputs: Pixels, untriggered: Pixels | None) -> Array:
        """How far outputs, less the untriggered ones, go along each direction, times its gain; shape (n, d)."""
        directions, gains = read_basis(self.store, self.basis)
        side = directions.shape[2]
        small = [_small(pictures, side) for pictures in (outputs, untriggered) if pictures is not None]
        difference = small[0] - (small[1] if untriggered is not None else 0)
        return np.asarray(np.tensordot(difference, directions, ([3, 1, 2], [1, 2, 3])) * gains)


def _small(pictures: Pixels, side: int) -> Array:
    """Pictures at the basis's side, in [0, 1], shape (n, side, side, 3)."""
    return to_unit(np.stack([picture_at(p, side) for p in pictures]))


@cache
def read_basis(store: Store, name: str) -> tuple[Array, Array]:
    """Directions (d, 3, side, side), and the gain of each (d,).

    Raises:
        InputError: if the file is missing, damaged or no basis.
    """
    directions, gains = store.get("basis", name, "directions", "gains")
    square = directions.ndim == 4 and directions.shape[1] == 3 and directions.shape[2] == directions.shape[3]
    if not (square and len(directions) >= FEWEST and gains.shape == (len(directions),) and gains.min() > 0):
        raise InputError(
            f"basis {name} holds {directions.shape} and {gains.shape}",
            f"A basis is {FEWEST} square RGB patterns or more and the gain of each. Make one: protect basis.",
        )
    return directions.astype(np.float64), gains.astype(np.float64)


@cache
def _coarse_basis(store: Store, name: str) -> tuple[Array, Array, Array]:
    """Directions on the grid of `protect.marks.legibility` at unit norm, their amplitudes, and weights of features."""
    directions, gains = read_basis(store, name)
    coarse = np.stack([on_grid(direction.transpose(1, 2, 0)).ravel() for direction in directions])
    sizes = np.linalg.norm(coarse, axis=1)
    amplitudes = sizes * np.sqrt(coarse.shape[1] / np.sum(sizes**2))
    return coarse / np.maximum(sizes, 1e-12)[:, None], amplitudes, gains * sizes
