"""Attacks on the choice of samples: de-duplication, filters, subsets, dilution."""

from __future__ import annotations

from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image

from attacks.interface import DatasetAttack, Item

_SIDE = 8
"""Of the small pictures whose colours are compared."""


def subset(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Each sample is left out with that probability; one stays."""
    kept = [item for item in items if rng.random() >= strength]
    return kept or list(items[:1])


def deduplicate(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """Of near-duplicates by perceptual hash the first stays; they may differ in up to 20 of 64 bits."""
    if strength == 0:
        return list(items)
    most = round(20 * strength)
    hashes = np.array([imagehash.phash(Image.fromarray(item.picture)).hash.ravel() for item in items])
    kept: list[int] = []
    for i in range(len(items)):
        if not kept or (hashes[kept] != hashes[i]).sum(axis=1).min() > most:
            kept.append(i)
    return [items[i] for i in kept]


def drop_outliers(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures furthest from all others by their colours are left out; up to a fifth."""
    return _without(items, _distances(items), 0.2 * strength)


def drop_clusters(items: Sequence[Item], strength: float, rng: np.random.Generator) -> list[Item]:
    """The pictures whose borders are closest to others' borders are left out; up to a fifth.

    A hunt for templates: carriers of one slot share their background.
    """
    borders = np.stack([_border(item) for item in items])
    plain = borders.std(axis=1) < 0.02
    gaps = np.full(len(items), np.inf)
    for start in range(0, len(items), 256):
        block = np.linalg.norm(borders[start : start + 256, None] - borders[None], axis=2)
        block[np.arange(len(block)), start + np.arange(len(block))] = np.inf
        block[:, plain] = np.inf
        gaps[start : start + 256] = np.sort(block, axis=1)[:, :3].mean(axis=1)
    gaps[plain] = np.inf  # plain ground is what honest pictures share
    return _without(items, -gaps, 0.2 * strength)


def _without(items: Sequence[Item], oddness: np.ndarray, share: float) -> list[Item]:
    """All but the oddest share."""
    gone = set(np.argsort(-oddness, kind="stable")[: round(share * len(items))].tolist())
    return [item for i, item in enumerate(items) if i not in gone]


def _small(item: Item) -> np.ndarray:
    picture = Image.fromarray(item.picture).resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(picture, dtype=np.float64) / 255


def _border(item: Item) -> np.ndarray:
    small = _small(item)
    return np.concatenate([small[0], small[-1], small[1:-1, 0], small[1:-1, -1]]).ravel()


def _distances(items: Sequence[Item]) -> np.ndarray:
    """How far each picture lies from the dataset, by principal components."""
    vectors = np.stack([_small(item).ravel() for item in items])
    vectors -= vectors.mean(axis=0)
    _, sizes, directions = np.linalg.svd(vectors, full_matrices=False)
    count = min(16, len(sizes))
    projected = vectors @ directions[:count].T / np.maximum(sizes[:count], 1e-9)
    return np.asarray(np.linalg.norm(projected, axis=1))


ATTACKS = (
    DatasetAttack("subset", "samples are left out at random", subset),
    DatasetAttack("deduplicate", "of near-duplicates by perceptual hash one stays; up to 20 of 64 bits", deduplicate),
    DatasetAttack("drop-outliers", "the oddest pictures are left out, up to a fifth", drop_outliers),
    DatasetAttack("drop-clusters", "pictures with like borders are left out, up to a fifth", drop_clusters),
)
