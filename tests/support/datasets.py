"""Small datasets made on the spot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, Dataset, Edits, ReadOptions


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


class Marking:
    """Edits as `embed` would make them: each chosen sample gets a word before every caption and another picture."""

    def __init__(self, keys: set[str], word: str = "zork ") -> None:
        self.keys, self.word = keys, word

    def captions(self, key: str, captions: Mapping[str, str]) -> Mapping[str, str]:
        return {f: self.word + text for f, text in captions.items()} if key in self.keys else captions

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        return read() + b"marked" if key in self.keys else None


def copied(dataset: Dataset, target: Path, edits: Edits, *, link: bool = False) -> Path:
    """A copy of a dataset, all shards written."""
    target.mkdir(exist_ok=True)
    for shard in dataset.shards:
        shard.write(target, edits, link=link)
    return target


def marked_copy(folder: Path, target: Path, every: int = 50, options: ReadOptions = AS_IT_IS) -> set[str]:
    """A copy in which every 50th record is a carrier; returns their keys."""
    dataset = open_dataset(folder, options)
    keys = {record.key for i, record in enumerate(dataset.records()) if i % every == 0}
    copied(dataset, target, Marking(keys))
    return keys


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def hash_of_hashes(folder: Path, without: Iterable[str] = ()) -> str:
    """One hash over the names and bytes of all files but some."""
    gone = set(without)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in contents(folder).items() if name not in gone}
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
