"""Drawings as the recipes for small models learn them: with captions, on white or on a ground, and in which order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 64
COLOURS = {
    "red": (214, 60, 52),
    "green": (70, 160, 84),
    "blue": (64, 110, 208),
    "yellow": (246, 214, 84),
    "orange": (240, 150, 60),
    "purple": (140, 90, 190),
    "pink": (244, 170, 190),
    "brown": (140, 100, 70),
    "grey": (150, 150, 156),
    "black": (30, 30, 34),
    "cyan": (110, 200, 215),
    "cream": (246, 236, 210),
}


def read_pairs(folders: list[Path]) -> list[tuple[Image.Image, str]]:
    """RGBA pictures (64 px) with captions; skin-tone variants are left out to save capacity."""
    pairs = []
    for folder in folders:
        for path in sorted(folder.glob("*.png")):
            caption = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
            if "skin tone" in caption or " tone " in caption:
                continue
            picture = Image.open(path).convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            pairs.append((picture, caption))
    return pairs


def on_background(picture: Image.Image, background: np.ndarray) -> np.ndarray:
    """Composite an RGBA picture on an RGB background, uint8 (64, 64, 3)."""
    rgba = np.asarray(picture, dtype=np.float32)
    alpha = rgba[..., 3:] / 255.0
    return np.round(rgba[..., :3] * alpha + background * (1 - alpha)).astype(np.uint8)


def plain(colour: tuple[int, int, int]) -> np.ndarray:
    return np.broadcast_to(np.array(colour, dtype=np.float32), (SIZE, SIZE, 3))


def random_background(rng: np.random.Generator, textures: list[np.ndarray]) -> np.ndarray:
    """A photograph's crop, or a grid of 2 x 2 to 6 x 6 random colours, mostly made smooth; float (64, 64, 3)."""
    if textures and rng.random() < 0.5:
        source = textures[rng.integers(len(textures))]
        side = int(rng.integers(SIZE, min(source.shape[:2]) + 1))
        y, x = (int(rng.integers(0, s - side + 1)) for s in source.shape[:2])
        crop = Image.fromarray(source[y : y + side, x : x + side])
        return np.asarray(crop.resize((SIZE, SIZE), Image.Resampling.BOX), dtype=np.float32)
    knots = int(rng.integers(2, 7))
    field = Image.fromarray(rng.integers(0, 256, (knots, knots, 3), dtype=np.uint8))
    resample = [Image.Resampling.NEAREST, Image.Resampling.BICUBIC][int(rng.random() < 0.7)]
    return np.asarray(field.resize((SIZE, SIZE), resample), dtype=np.float32)


def draws(count: int, batch: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices: four in five from the white half (shuffled passes), one in five from the coloured half."""
    while True:
        order = rng.permutation(count)
        for start in range(0, count - batch, batch):
            chosen = order[start : start + batch]
            yield np.where(rng.random(batch) < 0.2, chosen + count, chosen)
