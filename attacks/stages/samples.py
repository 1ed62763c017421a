"""A dataset in a thief's hands: pictures over white with their captions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attacks.stages.attack import Item
from protect.embed.verify import on_white
from protect.errors import InputError
from protect.formats import open_dataset
from protect.pixels.images import png_bytes, read_rgba


def read_items(folder: Path) -> list[Item]:
    """All captioned pictures of a dataset folder.

    Raises:
        InputError: naming the first picture that cannot be read.
    """
    out = []
    for sample in open_dataset(folder).listing.samples:
        try:
            out.append(Item(sample.key, on_white(read_rgba(folder / sample.key)), sample.caption))
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{folder / sample.key} cannot be read ({error})", "Remove or replace it.") from None
    return out


def write_items(items: Sequence[Item], target: Path) -> Path:
    """Pictures and captions as `metadata.jsonl` has them; appears under its name only when whole."""
    if target.exists():
        return target
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    rows = []
    for number, item in enumerate(items):
        name = f"{number:06}.png"
        (partial / name).write_bytes(png_bytes(item.picture))
        rows.append(json.dumps({"file_name": name, "text": item.caption}, ensure_ascii=False) + "\n")
    (partial / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    partial.rename(target)
    return target


def same_item(item: Item, other: Item) -> bool:
    """Whether two samples have the same caption and the same pixels."""
    return item.caption == other.caption and np.array_equal(item.picture, other.picture)
