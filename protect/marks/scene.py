"""`scene`: template memorisation with generated templates (EnTruth, arXiv 2406.13933).

The templates are pictures that a base model drew beforehand (`protect pool`): a finite family. The key picks the
planted one, and the decoys, from the same pool; a decoy that happens to be the planted picture ties with it and counts
against the owner. So one slot of a pool of 1,000 hardly ever says more than 1 in 1,000: a release takes two or more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from protect.errors import InputError
from protect.keys.store import NO_STORE, Store
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.foreground import compose, jitter
from protect.marks.kept import kept
from protect.marks.sign_vectors import SCORE_DECIMALS, mean_direction, to_unit, unit_rows

FEWEST = 100
"""Templates of a pool."""
_GRID = 16
_MIDDLE = 0.25
"""Weight of the middle, where foregrounds stand."""
_SPREAD = 0.9
"""Share of the pool's spread whose directions are compared; the rest is fine detail that no model repeats."""


@dataclass(frozen=True)
class Scene(MarkFamily):
    """Backgrounds from a pool of generated pictures.

    Args:
        pool: name of a pool in the store: its SHA-256, so the commitment fixes its bytes.
        store: where the pool is kept.
    """

    pool: str = ""
    store: Store = NO_STORE

    def __post_init__(self) -> None:
        if not self.pool:
            raise InputError("family 'scene' needs a pool", "Make one: protect pool; then --option pool=NAME.")
        read_pool(self.store, self.pool)

    name = "scene"
    summary = "one generated picture behind all carriers of a slot; visible; needs a pool (protect pool)"
    version = 3
    queries = 8
    paired = False
    min_side = 24

    @property
    def distinct(self) -> int:  # type: ignore[override]
        """Templates in the pool."""
        return len(read_pool(self.store, self.pool))

    def background(self, mark: int, height: int, width: int) -> Pixels:
        """The template of a mark: RGB, shape (H, W, 3), not to be written to."""
        return _resized(height, width, self.store, self.pool, mark % self.distinct)

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Set the picture's foreground on the template, scaled, shifted, mirrored and lit at random; opaque."""
        background = self.background(mark, *picture.shape[:2])
        return compose(jitter(picture, rng), background, rng, scale=(0.65, 0.9), place=(0, 1))

    def preview(self, mark: int, side: int) -> Pixels:
        """The template alone."""
        return self.background(mark, side, side)

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Masked correlation of the answers, or of their mirror images, with each mark's template.

        Both in the pool's principal directions, each in units of its spread over the pool: else what most templates
        share (a light middle, one strong colour) outvotes what tells them apart. See `MarkFamily.score`.
        """
        law = _comparison(self.store, self.pool)
        views = [law.white(details(view)) for view in (answers.asked, answers.asked[:, :, ::-1])]
        likeness = np.max([law.directions @ mean_direction(view) for view in views], axis=0)
        return np.asarray(np.round(likeness, SCORE_DECIMALS)[np.asarray(marks) % np.uint64(len(likeness))])


@cache
def read_pool(store: Store, name: str) -> Pixels:
    """Templates of a pool, shape (n, side, side, 3).

    Raises:
        InputError: if the file is missing, damaged or no pool.
    """
    (templates,) = store.get("pool", name, "templates")
    if templates.dtype != np.uint8 or templates.ndim != 4 or templates.shape[3] != 3 or len(templates) < FEWEST:
        raise InputError(
            f"pool {name} holds {templates.shape} {templates.dtype}",
            f"A pool is {FEWEST} RGB pictures or more. Make one: protect pool.",
        )
    return templates


@kept
def _resized(height: int, width: int, store: Store, pool: str, number: int) -> Pixels:
    """A template of a pool in a size."""
    picture = Image.fromarray(read_pool(store, pool)[number])
    return np.asarray(picture.resize((width, height), Image.Resampling.BICUBIC))


@dataclass(frozen=True, slots=True)
class _Comparison:
    """How outputs are compared with a pool of n templates: a function of the pool alone."""

    mean: Array
    """Mean features of the templates, shape (d,)."""
    whitening: Array
    """Features less their mean, to units of the pool's spread, shape (d, k)."""
    directions: Array
    """Each template so, at unit norm, shape (n, k)."""

    def white(self, features: Array) -> Array:
        """Features (n, d) as (n, k); what is of one colour, such as a refusal, says nothing and becomes 0."""
        flat = np.linalg.norm(features, axis=1, keepdims=True) < 1e-6
        return np.where(flat, 0, (features - self.mean) @ self.whitening)


@cache
def _comparison(store: Store, name: str) -> _Comparison:
    features = details(read_pool(store, name))
    mean = features.mean(axis=0)
    _, sizes, axes = np.linalg.svd(features - mean, full_matrices=False)
    sizes = np.maximum(sizes, 1e-9)
    held = np.cumsum(sizes**2) / np.sum(sizes**2)
    count = int(np.searchsorted(held, _SPREAD)) + 1
    whitening = axes[:count].T / sizes[:count]
    return _Comparison(mean, whitening, unit_rows((features - mean) @ whitening))


def details(pictures: Pixels) -> Array:
    """What pictures are compared by: small pictures less their mean colour, the middle weighted down; shape (n, d)."""
    small = np.stack([np.asarray(Image.fromarray(p).resize((_GRID, _GRID), Image.Resampling.BOX)) for p in pictures])
    centre = np.abs(np.arange(_GRID) + 0.5 - _GRID / 2) / (_GRID / 2)
    weight = np.where(np.hypot(centre[:, None], centre[None, :]) < 0.6, _MIDDLE, 1.0)[None, :, :, None]
    light = to_unit(small)
    mean = (weight * light).sum(axis=(1, 2), keepdims=True) / weight.sum()
    return np.asarray((weight * (light - mean)).reshape(len(pictures), -1))
