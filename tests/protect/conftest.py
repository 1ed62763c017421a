"""Small datasets made on the spot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from protect.alignments import alignments
from protect.marks.family import FamilyOptions
from protect.marks.stored import packed
from protect.release.record import Keyring

WITH_WORDS = [name for name, alignment in alignments().items() if not alignment.for_classifiers]
"""Alignments for text-to-image models."""


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Keyring:
    home = tmp_path / "home"
    monkeypatch.setenv("TRACEMARK_HOME", str(home))
    return Keyring(home)


def draw(index: int, size: int = 64, mode: str = "RGB") -> Image.Image:
    """A coloured box on white (or on nothing), another one for each index."""
    rng = np.random.default_rng(index)
    pixels = np.full((size, size, 4), 255, dtype=np.uint8)
    pixels[..., 3] = 0 if mode == "RGBA" else 255
    a, b = sorted(rng.integers(4, size - 4, 2))
    pixels[a : b + 4, 10 : size - 10] = [*rng.integers(0, 256, 3), 255]
    return Image.fromarray(pixels, "RGBA").convert(mode)


def make_folder(folder: Path, count: int = 60, layout: str = "metadata.jsonl", suffix: str = ".png") -> Path:
    """A dataset of `count` pictures."""
    folder.mkdir(parents=True)
    rows = []
    for i in range(count):
        name = f"picture {i:03}{suffix}"
        draw(i).save(folder / name)
        caption = f"box number {i}, 盒子, “quoted”"
        rows.append((name, caption))
        if layout == "sidecar":
            (folder / name).with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
    if layout == "metadata.jsonl":
        lines = [json.dumps({"file_name": n, "text": c, "n": 1.0}, ensure_ascii=False) + "\n" for n, c in rows]
        (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    if layout == "metadata.csv":
        lines = [f'{n},"{c}",x\r\n' for n, c in rows]
        (folder / "metadata.csv").write_bytes(("file_name,text,extra\r\n" + "".join(lines)).encode())
    return folder


def make_classes(folder: Path, classes: int = 4, each: int = 20, size: int = 32) -> Path:
    """A dataset of class folders."""
    for c in range(classes):
        (folder / f"class {c}").mkdir(parents=True)
        for i in range(each):
            draw(100 * c + i, size).save(folder / f"class {c}" / f"{i:03}.png")
    return folder


def add_pool(keyring: Keyring, count: int = 200) -> str:
    """A pool of smooth templates in the keyring; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 32, 32, 3)), (0, 4, 4, 0))
    return keyring.store("pool", packed(templates=np.clip(128 + 450 * field, 0, 255).astype(np.uint8)))


def add_basis(keyring: Keyring, count: int = 60) -> str:
    """A basis of smooth directions in the keyring; returns its name."""
    field = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(count, 3, 64, 64)), (0, 0, 6, 6))
    return keyring.store("basis", packed(directions=field.astype(np.float32), gains=np.ones(count)))


def stored_options(family: str, keyring: Keyring) -> FamilyOptions:
    """The options that a family cannot do without."""
    if family == "scene":
        return {"pool": add_pool(keyring)}
    return {"basis": add_basis(keyring)} if family == "latent" else {}


def varied_captions(count: int) -> list[str]:
    """Captions whose words recur, so that every alignment finds its triggers."""
    colours = ("red", "blue", "green", "black", "white")
    things = ("kite", "boat", "house", "horse", "lamp", "chair", "cloud")
    return [f"a {colours[i % 5]} {things[i % 7]} number{i % 12}" for i in range(count)]


def recaption(folder: Path, captions: list[str]) -> Path:
    """Replace the captions of a folder that `make_folder` made with metadata.jsonl."""
    path = folder / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    lines = [json.dumps(row | {"text": caption}) + "\n" for row, caption in zip(rows, captions, strict=True)]
    path.write_text("".join(lines), encoding="utf-8")
    return folder
