"""What the classifiers of `benchmarks.provenance` learn from, and what they are asked about."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.common import keyring_in, marked_copy, pictures_of
from detect.provenance.sets import LabelledSet, drawn
from detect.suspects.images import Sampler, load_suspect
from protect.files import write_atomic
from protect.formats import open_dataset
from protect.formats.record import Record
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.miniature import miniature_path
from protect.pixels.measure import on_white, picture_at, png_bytes
from protect.pixels.picture import read_rgba
from protect.progress import no_progress
from protect.release.bound import BoundRelease
from protect.release.plan import Options

CLASSES = ("arrow", "bicyclist", "face", "hand", "handshake", "heart", "man", "woman")
"""Sorted, as class folders are."""
PLAIN, OTHER = Sampler(steps=12, guidance=3.0), Sampler(steps=6, guidance=7.5)
HALF, TEST = 60, 160
"""Pictures per class: for references (or the shadow), as many again for suspects, and to ask about (10 batches)."""
REAL_HALF, REAL_TEST = 23, 23
"""The rarest class has 69 drawings."""
CONTROLS, UNKNOWN, SAME = ("blob", "real"), "two", "sampler"
MIXES = {0.25: (8, 23), 0.5: (23, 23), 0.75: (60, 20)}
"""Share of the generator's pictures: how many per class of it, and how many real ones."""
TAGS = Options(rate=0.12, alignment="label", slots=8, queries=16)
KEYS = (700, 701)


def keyring_of(work: Path) -> Keyring:
    """Holds tagged releases."""
    return keyring_in(work / "provenance")


@cache
def source(work: Path, name: str) -> tuple[LabelledSet, LabelledSet, LabelledSet]:
    """Pictures for references, for suspects, and to ask about."""
    if name == "real":
        return real(work)
    generator = load_suspect(
        {
            "own": miniature_path(),
            "sampler": miniature_path(),
            "blob": work / "other-blob-500",
            "two": work / "other-two-500",
        }[name]
    )
    sampler, place = OTHER if name == "sampler" else PLAIN, work / "cache"

    def draw(template: str, count: int, seed: int) -> LabelledSet:
        return drawn(generator, template, CLASSES, count, seed=seed, sampler=sampler, cache=place, progress=no_progress)

    both, test = draw("noto emoji of {c}", 2 * HALF, 0), draw("emoji of {c}", TEST, 2**30)
    cut = HALF * len(CLASSES)
    return both.part(0, cut), both.part(cut, 2 * cut), test


def real(work: Path) -> tuple[LabelledSet, LabelledSet, LabelledSet]:
    """Drawings of three emoji sets whose captions hold exactly one class's word; the order is drawn by a seed."""
    found: dict[str, list[Record]] = {name: [] for name in CLASSES}
    for folder in ("noto", "blob", "two"):
        for record in open_dataset(work / folder).records():
            words = set(re.findall("[a-z]+", record.caption.lower())) & set(CLASSES)
            if len(words) == 1:
                found[words.pop()].append(record)
    rng = np.random.default_rng(0)
    count = 2 * REAL_HALF + REAL_TEST
    chosen = {name: [records[i] for i in rng.permutation(len(records))[:count]] for name, records in found.items()}
    pictures = np.stack(
        [picture_at(on_white(read_rgba(chosen[name][i].read())), 64) for i in range(count) for name in CLASSES]
    )
    whole = LabelledSet("real", pictures, np.tile(np.arange(len(CLASSES)), count))
    a, b = REAL_HALF * len(CLASSES), 2 * REAL_HALF * len(CLASSES)
    return whole.part(0, a), whole.part(a, b), whole.part(b, len(whole.truth))


def joined(first: LabelledSet, second: LabelledSet) -> LabelledSet:
    """Both sets as one."""
    return LabelledSet(
        "mix", np.concatenate([first.pictures, second.pictures]), np.concatenate([first.truth, second.truth])
    )


def release_of(work: Path, key: int) -> tuple[BoundRelease, Path]:
    """The owner's pictures for suspects as class folders, tagged; and those folders."""
    folder, target = work / "provenance-own", work / f"provenance-tagged-{key}"
    if not folder.exists():
        own = source(work, "own")[1]
        for i, (picture, c) in enumerate(zip(own.pictures, own.truth, strict=True)):
            (folder / CLASSES[c]).mkdir(parents=True, exist_ok=True)
            write_atomic(folder / CLASSES[c] / f"{i:04}.png", png_bytes(picture))
    return marked_copy(folder, target, TAGS, keyring_of(work), secret_from_seed(key, "provenance")), folder


def lesson(work: Path, kind: str) -> LabelledSet:
    """What a classifier of that kind learns from."""
    count = len(CLASSES)
    if kind.startswith("reference"):
        return source(work, kind.split()[1])[0]
    if kind == "shadow":
        return source(work, "own")[0]
    if kind.startswith("mix"):
        own, others = MIXES[float(kind.split()[1])]
        return joined(source(work, "own")[1].part(0, own * count), source(work, "real")[1].part(0, others * count))
    if kind.startswith("tagged"):
        release_of(work, int(kind.split()[1]))
        folder = work / f"provenance-tagged-{kind.split()[1]}"
        records = list(open_dataset(folder).records())
        pictures = np.stack(pictures_of(folder, [record.key for record in records]))
        return LabelledSet(kind, pictures, np.array([CLASSES.index(record.caption) for record in records]))
    return source(work, kind)[1]
