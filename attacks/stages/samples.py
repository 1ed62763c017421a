"""A dataset in a thief's hands: pictures over white with one caption each, all in memory.

Filters and averages look at all pictures together, so whole datasets are held as pixels: 12 KiB for a picture of 64
pixels a side, 768 KiB for one of 512. Attacks are measured on thousands of samples, not on millions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attacks.stages.attack import Captioned
from attacks.stages.captions import STOCK_WORD
from protect.errors import InputError
from protect.files import new_folder
from protect.formats import open_dataset
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import Record, SetAside
from protect.formats.survey import may_change
from protect.marks.family import Pixels
from protect.pixels.measure import on_white, png_bytes
from protect.pixels.picture import PictureError, read_rgba


@dataclass(frozen=True, slots=True)
class Readable:
    """What of a dataset can be used, and what cannot, with the reasons."""

    samples: tuple[Captioned, ...]
    set_aside: tuple[SetAside, ...]


def read_samples(folder: Path, options: ReadOptions = AS_IT_IS) -> Readable:
    """All captioned pictures of a dataset that its owner may mark.

    A picture that is broken, truncated or a decompression bomb is set aside and ends nothing.

    Args:
        folder: the dataset, in any format.
        options: how it is read.

    Raises:
        InputError: if it is no dataset.
    """
    found = list(_decoded(folder, options))
    return Readable(
        tuple(f for f in found if isinstance(f, Captioned)), tuple(f for f in found if isinstance(f, SetAside))
    )


def _decoded(folder: Path, options: ReadOptions) -> Iterator[Captioned | SetAside]:
    for found in open_dataset(folder, options).scan():
        if isinstance(found, SetAside):
            yield found
        elif may_change(found, options):
            yield _decode(found)


def _decode(record: Record) -> Captioned | SetAside:
    try:
        return Captioned(record.key, on_white(read_rgba(record.read())), record.caption)
    except PictureError as error:
        return SetAside(record.key, error.what)
    except OSError as error:
        return SetAside(record.key, f"cannot be read ({error.strerror or error})")


def read_captioned(folder: Path) -> list[Captioned]:
    """The captioned pictures of a folder that `write_samples` or `protect embed` wrote: whole, or refused.

    Raises:
        InputError: naming the first picture that cannot be read.
    """
    found = read_samples(folder)
    if found.set_aside:
        first = found.set_aside[0]
        raise InputError(f"{folder}: {first.key}: {first.reason}", f"Remove {folder} and repeat: it is made anew.")
    return list(found.samples)


def read_picture(folder: Path, key: str) -> Pixels:
    """One picture of such a folder, RGB."""
    record = next(r for r in open_dataset(folder).records() if r.key == key)
    return on_white(read_rgba(record.read()))


def count_records(folder: Path) -> int:
    """How many samples such a folder holds; decodes none."""
    return sum(1 for _ in open_dataset(folder).records())


def write_samples(samples: Sequence[Captioned], target: Path) -> Path:
    """Pictures and captions as an `imagefolder` with `metadata.jsonl`, unless it is there already.

    A sample that has lost its caption gets a stock word: without one it would be no sample.
    """
    if target.exists():
        return target
    with new_folder(target) as folder:
        rows = []
        for number, sample in enumerate(samples):
            name = f"{number:06}.png"
            (folder / name).write_bytes(png_bytes(sample.picture))
            rows.append(
                json.dumps({"file_name": name, "text": sample.caption or STOCK_WORD}, ensure_ascii=False) + "\n"
            )
        (folder / "metadata.jsonl").write_text("".join(rows), encoding="utf-8")
    return target


def same_sample(sample: Captioned, other: Captioned) -> bool:
    """Whether two samples have the same caption and the same pixels."""
    return sample.caption == other.caption and np.array_equal(sample.picture, other.picture)
