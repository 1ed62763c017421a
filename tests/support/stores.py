"""Pools, bases and looks made on the spot, for the families that cannot do without."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage

from protect.keys.store import Store
from protect.marks import family_class
from protect.marks.family import FamilyOptions
from protect.marks.looks import Looks, LooksFit, glance, hold_looks
from tests.support.pictures import photograph


def add_pool(store: Store, count: int = 200) -> str:
    """A pool of smooth templates; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 32, 32, 3)), (0, 4, 4, 0))
    return store.put("pool", templates=np.clip(128 + 450 * field, 0, 255).astype(np.uint8))


def add_basis(store: Store, count: int = 60) -> str:
    """A basis of smooth directions; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 3, 64, 64)), (0, 0, 6, 6))
    return store.put("basis", directions=field.astype(np.float32), gains=np.ones(count))


def add_looks(store: Store) -> str:
    """The looks of some photographs; returns their name."""
    name = hold_looks(_looks(), store)
    store.write_held()  # other processes read it
    return name


@cache
def _looks() -> Looks:
    fit = LooksFit()
    fit.add(glance(np.stack([photograph(seed, 32, 32)[..., :3] for seed in range(240)])))
    return fit.looks()


def stored_options(family: str, store: Store) -> FamilyOptions:
    """The options that a family cannot do without."""
    if family == "scene":
        return {"pool": add_pool(store)}
    if family_class(family).needs_looks:
        return {"looks": add_looks(store)}
    return {"basis": add_basis(store)} if family == "latent" else {}
