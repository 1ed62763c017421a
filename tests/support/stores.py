"""Pools and bases made on the spot, for the families that cannot do without."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from protect.keys.store import Store
from protect.marks.family import FamilyOptions


def add_pool(store: Store, count: int = 200) -> str:
    """A pool of smooth templates; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 32, 32, 3)), (0, 4, 4, 0))
    return store.put("pool", templates=np.clip(128 + 450 * field, 0, 255).astype(np.uint8))


def add_basis(store: Store, count: int = 60) -> str:
    """A basis of smooth directions; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 3, 64, 64)), (0, 0, 6, 6))
    return store.put("basis", directions=field.astype(np.float32), gains=np.ones(count))


def stored_options(family: str, store: Store) -> FamilyOptions:
    """The options that a family cannot do without."""
    if family == "scene":
        return {"pool": add_pool(store)}
    return {"basis": add_basis(store)} if family == "latent" else {}
