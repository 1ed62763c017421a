"""Labelled pictures: drawn by a generator from class prompts, or read from class folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.suspects.images import Query, Sampler, Suspect
from detect.trial.answers import cached_outputs
from protect.embed.verify import on_white
from protect.embed.write import Progress
from protect.errors import InputError, SuspectError
from protect.formats import open_dataset
from protect.marks.family import Pixels
from protect.pixels.images import obstacle, picture_at, read_rgba

SHADOW_PROMPT, VALIDATION_PROMPT = "a {c}", "a photo of a {c}"
"""Of the paper."""
_FLAT = 8
"""A picture whose levels span less says nothing."""
_FLAT_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """Pictures (n, side, side, 3) and their classes (n,), in an order that mixes the classes."""

    name: str
    pictures: Pixels
    truth: NDArray[np.intp]

    def part(self, start: int, stop: int) -> LabelledSet:
        """Some of it."""
        return LabelledSet(self.name, self.pictures[start:stop], self.truth[start:stop])


def prompts(template: str, classes: Sequence[str], per_class: int, seed: int) -> tuple[list[Query], NDArray[np.intp]]:
    """Questions for `per_class` pictures of every class, classes in turn; seeds follow `seed`.

    Raises:
        InputError: if the template has no place for the class.
    """
    if "{c}" not in template:
        raise InputError(f"prompt {template!r} has no {{c}}", "Write {c} where the class goes: 'a photo of a {c}'.")
    truth = np.tile(np.arange(len(classes)), per_class)
    asked = [Query(template.replace("{c}", classes[c]), seed + i) for i, c in enumerate(truth)]
    return asked, truth


def drawn(
    generator: Suspect,
    template: str,
    classes: Sequence[str],
    per_class: int,
    *,
    seed: int,
    sampler: Sampler,
    cache: Path,
    progress: Progress,
) -> LabelledSet:
    """Pictures that a generator draws of every class, cached; a killed run resumes.

    Args:
        generator: a text-to-image model.
        template: prompt with {c} for the class.
        classes: names.
        per_class: pictures of each.
        seed: of the first picture; sets with different seeds far apart share none.
        sampler: how pictures are drawn.
        cache: folder.
        progress: told (stage, done, total).

    Raises:
        SuspectError: if the generator draws pictures of one colour, as broken weights or safety checkers do.
    """
    asked, truth = prompts(template, classes, per_class, seed)
    ready = 0

    def told(count: int) -> None:
        nonlocal ready
        ready += count
        progress(f"{generator.name}: drawing", ready, len(asked))

    pictures = cached_outputs(generator, asked, sampler, cache, told)
    flat = int((np.ptp(pictures.reshape(len(pictures), -1), axis=1) < _FLAT).sum())
    if flat > _FLAT_SHARE * len(pictures):
        raise SuspectError(
            f"{generator.name} drew {flat} of {len(pictures)} pictures in one colour",
            "Check its weights and precision, and whether a safety checker blackens pictures.",
        )
    return LabelledSet(generator.name, pictures, truth)


def read_set(folder: Path, classes: Sequence[str], per_class: int, side: int) -> LabelledSet:
    """Pictures from class folders, classes in turn.

    Raises:
        InputError: if a class has too few.
    """
    by_class: dict[str, list[str]] = {name: [] for name in classes}
    for sample in open_dataset(folder).listing.samples:
        if sample.caption in by_class and obstacle(folder / sample.key, 1) is None:
            by_class[sample.caption].append(sample.key)
    for name, keys in by_class.items():
        if len(keys) < per_class:
            raise InputError(
                f"{folder} holds {len(keys)} pictures of {name!r}, {per_class} are needed",
                "Add pictures, or ask for fewer per class.",
            )
    order = [by_class[name][i] for i in range(per_class) for name in classes]
    pictures = np.stack([picture_at(on_white(read_rgba(folder / key)), side) for key in order])
    return LabelledSet(folder.name, pictures, np.tile(np.arange(len(classes)), per_class))
