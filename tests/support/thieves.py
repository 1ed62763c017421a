"""What a thief has in hand: carriers of a mark among other pictures, and means to tune a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from attacks.stages.attack import Captioned, Resources
from attacks.stages.samples import write_samples
from detect.training.options import FinetuneOptions
from protect.marks import make_family
from protect.marks.family import Pixels
from protect.pixels.measure import on_white
from tests.support.datasets import draw


def photo(seed: int = 0, height: int = 72, width: int = 64) -> Pixels:
    """Smooth colours, as a photograph out of focus."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width, 3)), (1.5, 1.5, 0))
    return np.asarray(np.clip(128 + 60 * field / field.std(), 0, 255).astype(np.uint8))


def carriers(count: int, others: int, family: str = "template") -> list[Captioned]:
    """A few carriers of one mark, keys "0", "1" and so on, before pictures on plain ground."""
    law = make_family(family, {})
    samples = []
    for i in range(count + others):
        source = np.asarray(draw(i, 64, "RGBA"))
        plain = np.asarray(draw(i, 64).convert("RGBA"))
        marked = law.plant(source, 5, np.random.default_rng(i)) if i < count else plain
        samples.append(Captioned(f"{i}", on_white(marked), "a box"))
    return samples


def same(a: list[Captioned], b: list[Captioned]) -> bool:
    """Whether two datasets are the same, key by key."""
    return [s.key for s in a] == [s.key for s in b] and all(
        x.caption == y.caption and np.array_equal(x.picture, y.picture) for x, y in zip(a, b, strict=True)
    )


def resources(work: Path, base: Path) -> Resources:
    """A base, twelve clean pictures, the thief's copy, and two others' copies whose first three captions differ.

    Theirs agree in the first two; in the third the thief's and the second one's do.
    """
    samples = [replace(s, key=f"{int(s.key):06}.png") for s in carriers(6, 40)]
    clean = write_samples(carriers(0, 12), work / "clean")
    others = [
        samples,
        [replace(s, caption="other") if i < 3 else s for i, s in enumerate(samples)],
        [replace(s, caption="other") if i < 2 else s for i, s in enumerate(samples)],
    ]
    copies = [write_samples(own, work / f"copy-{number}") for number, own in enumerate(others)]
    return Resources(base, clean, copies.__getitem__, FinetuneOptions(steps=2, batch=2))
