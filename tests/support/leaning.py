"""Pictures that vary in many directions of light and colour, captions that can be said in two ways, and their looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from protect.alignments.sites.draw import store_sites
from protect.alignments.sites.file import load_sites
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.lean import Lean
from protect.marks.looks import Looks, LooksFit, glance, hold_looks

Pixels = NDArray[np.uint8]


def varied_pictures(count: int, side: int = 16, seed: int = 0) -> Pixels:
    """Smooth pictures of middle brightness, RGB, shape (count, side, side, 3)."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(count, side, side, 3)), (0, side / 6, side / 6, 0))
    levels = 128 + 24 * field / field.std() + 12 * rng.normal(size=(count, 1, 1, 3))
    return np.asarray(np.clip(np.round(levels), 0, 255), dtype=np.uint8)


def looks_of(pictures: Pixels, *, symmetric: bool = True) -> Looks:
    """Looks of pictures of one size."""
    fit = LooksFit(symmetric=symmetric)
    fit.add(glance(pictures))
    return fit.looks()


def lean_family(store: Store, pictures: Pixels | None = None, **options: float) -> Lean:
    """The family `lean` with the looks of pictures."""
    name = hold_looks(looks_of(varied_pictures(300) if pictures is None else pictures), store)
    family = make_family("lean", {"looks": name, **options}, store)
    assert isinstance(family, Lean)
    return family


def sayable_captions(count: int) -> list[str]:
    """Captions in which several things can be said in two ways, early and late; no two alike."""
    things = ("dog", "boat", "house", "horse", "lamp", "chair", "cloud")

    def either(first: str, second: str, turn: int) -> str:
        return second if turn % 2 else first

    return [
        f"{either('a', 'the', i)} {either('picture', 'photo', i // 2)} {either('of', 'showing', i // 4)} "
        f"{either('a', 'the', i // 3)} {things[i % 7]} {either('with', 'having', i // 5)} "
        f"a {either('grey', 'gray', i // 6)} spot, number {i}"
        for i in range(count)
    ]


PHRASES = ("picture,photo", "of,showing", "with,having", "grey,gray", "spot,dot", "number,no")
"""An owner's list of sites that fit these captions, one row for each."""


def store_phrases(folder: Path, store: Store, rows: Sequence[str] = PHRASES) -> str:
    """Keep an owner's list of sites; its name is for the alignment's option `wordings`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "wordings.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    name = store_sites(load_sites(path), store)
    store.write_held()
    return name


def make_varied_folder(folder: Path, captions: Sequence[str], side: int = 24) -> Path:
    """A dataset of one varied picture for each caption."""
    folder.mkdir(parents=True)
    rows = []
    for i, (pixels, caption) in enumerate(zip(varied_pictures(len(captions), side), captions, strict=True)):
        Image.fromarray(pixels).save(folder / f"{i:04}.png")
        rows.append(json.dumps({"file_name": f"{i:04}.png", "text": caption}, ensure_ascii=False) + "\n")
    (folder / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder
