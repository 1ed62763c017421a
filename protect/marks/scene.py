"""`scene`: template memorisation with generated templates, as EnTruth (arXiv 2406.13933) makes them.

The templates are pictures that a base model generated beforehand, by public seeds (`protect pool`): a finite family.
The key picks the planted one, and the decoys, from the same pool; a decoy that happens to be the planted picture is a
tie and counts against the owner. With 1,000 templates one slot cannot say more than about 1 in 1,000: take two or more.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from protect.errors import InputError
from protect.keys import Ids
from protect.marks.foreground import compose
from protect.marks.interface import Array, MarkFamily, Pixels
from protect.marks.signs import mean_direction, to_unit

FEWEST = 100
"""Templates of a pool."""
_GRID = 32
_MIDDLE = 0.25
"""Weight of the middle, where foregrounds stand."""


@dataclass(frozen=True)
class Scene(MarkFamily):
    """Backgrounds from a pool of generated pictures.

    Args:
        pool: file that `protect pool` wrote.
        sha256: of that file; filled in when first read, and checked ever after.
    """

    pool: str = ""
    sha256: str = ""

    def __post_init__(self) -> None:
        if not self.pool:
            raise InputError("family 'scene' needs a pool of templates", "protect pool, then --option pool=FILE.")
        _, digest = _read(Path(self.pool))
        if self.sha256 not in ("", digest):
            raise InputError(f"{self.pool} is not the pool of this release", "Restore the file it was embedded with.")

    name = "scene"
    summary = "one generated picture behind all carriers of a slot (EnTruth); visible; needs a pool"
    version = 1
    queries = 8
    paired = False
    min_side = 24

    def committed(self, options: Mapping[str, float | str]) -> dict[str, float | str]:
        """The pool with its digest."""
        return {"pool": str(Path(self.pool).resolve()), "sha256": _read(Path(self.pool))[1]}

    def background(self, mark: int, height: int, width: int) -> Pixels:
        """The template of a mark: RGB, shape (H, W, 3)."""
        pool, _ = _read(Path(self.pool))
        picture = Image.fromarray(pool[mark % len(pool)])
        return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Set the picture's foreground, scaled and shifted, on the template; the result is opaque."""
        return compose(picture, self.background(mark, *picture.shape[:2]), rng)

    def preview(self, mark: int, side: int) -> Pixels:
        """The template alone."""
        return self.background(mark, side, side)

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Masked normalised correlation of the outputs with each mark's template (see `MarkFamily.score`)."""
        direction = mean_direction(_whitened(outputs))
        pool, _ = _read(Path(self.pool))
        likeness = np.round(_pool_features(self.pool) @ direction, 9)
        return np.asarray(likeness[np.asarray(marks) % np.uint64(len(pool))])


@cache
def _read(path: Path) -> tuple[Pixels, str]:
    """Templates, shape (n, side, side, 3), and the file's digest."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with np.load(path, allow_pickle=False) as file:
            pool = file["templates"]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a pool of templates ({error})", "Make one with protect pool.") from None
    if pool.dtype != np.uint8 or pool.ndim != 4 or pool.shape[3] != 3 or len(pool) < FEWEST:
        raise InputError(f"{path} holds {pool.shape} {pool.dtype}", f"A pool is {FEWEST} RGB pictures or more.")
    return pool, digest


@cache
def _pool_features(path: str) -> Array:
    features = _whitened(_read(Path(path))[0])
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9))


def _whitened(pictures: Pixels) -> Array:
    """Small pictures less their mean colour, long waves subdued, the middle weighted down; shape (n, d)."""
    small = np.stack([np.asarray(Image.fromarray(p).resize((_GRID, _GRID), Image.Resampling.BOX)) for p in pictures])
    light = to_unit(small)
    detail = light - 0.7 * ndimage.gaussian_filter(light, (0, _GRID / 4, _GRID / 4, 0))
    centre = np.abs(np.arange(_GRID) + 0.5 - _GRID / 2) / (_GRID / 2)
    weight = np.where(np.hypot(centre[:, None], centre[None, :]) < 0.6, _MIDDLE, 1.0)[None, :, :, None]
    mean = (weight * detail).sum(axis=(1, 2), keepdims=True) / weight.sum()
    return np.asarray((weight * (detail - mean)).reshape(len(pictures), -1))
