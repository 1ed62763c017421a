"""Labelled pictures: drawn by a generator from class prompts, or read from class folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detect.pictures import picture_of
from detect.suspects.images import Query, Sampler, Suspect
from detect.trial.answers import cached_outputs
from protect.errors import InputError, SuspectError
from protect.formats import open_dataset
from protect.formats.record import Record, SetAside
from protect.marks.family import Pixels
from protect.pixels.measure import on_white, picture_at
from protect.progress import Progress, no_progress

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
    set_aside: tuple[SetAside, ...] = ()
    """Samples that were passed over, since their pictures cannot be read."""

    def part(self, start: int, stop: int) -> LabelledSet:
        """Some of it."""
        return replace(self, pictures=self.pictures[start:stop], truth=self.truth[start:stop])


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
    progress: Progress = no_progress,
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
        progress: called with (stage, done, total).

    Raises:
        SuspectError: if the generator draws pictures of one colour, as broken weights or safety checkers do.
    """
    asked, truth = prompts(template, classes, per_class, seed)
    ready = 0

    def count(more: int) -> None:
        nonlocal ready
        ready += more
        progress(f"{generator.name}: drawing", ready, len(asked))

    pictures = cached_outputs(generator, asked, sampler, cache, count)
    flat = int((np.ptp(pictures.reshape(len(pictures), -1), axis=1) < _FLAT).sum())
    if flat > _FLAT_SHARE * len(pictures):
        raise SuspectError(
            f"{generator.name} drew {flat} of {len(pictures)} pictures in one colour",
            "Check its weights and precision, and whether a safety checker blackens pictures.",
        )
    return LabelledSet(generator.name, pictures, truth)


def read_set(folder: Path, classes: Sequence[str], per_class: int, side: int) -> LabelledSet:
    """Pictures from class folders, classes in turn; the first ones that can be read.

    Raises:
        InputError: if a class has too few.
    """
    by_class, set_aside = _first_of_each(open_dataset(folder).records(), classes, per_class, side)
    for name, held in by_class.items():
        if len(held) < per_class:
            unreadable = f" ({len(set_aside)} pictures cannot be read, first {set_aside[0].key})" if set_aside else ""
            raise InputError(
                f"{folder} holds {len(held)} pictures of {name!r}, {per_class} are needed{unreadable}",
                "Add pictures, or ask for fewer per class.",
            )
    pictures = np.stack([by_class[name][i] for i in range(per_class) for name in classes])
    return LabelledSet(folder.name, pictures, np.tile(np.arange(len(classes)), per_class), tuple(set_aside))


def _first_of_each(
    records: Iterable[Record], classes: Sequence[str], per_class: int, side: int
) -> tuple[dict[str, list[Pixels]], list[SetAside]]:
    """The first pictures of every class, RGB (side, side, 3), and those that cannot be read."""
    by_class: dict[str, list[Pixels]] = {name: [] for name in classes}
    set_aside = list[SetAside]()
    for record in records:
        found = by_class.get(record.caption)
        if found is None or len(found) == per_class:
            continue
        picture = picture_of(record)
        if isinstance(picture, SetAside):
            set_aside.append(picture)
        else:
            found.append(picture_at(on_white(picture), side))
    return by_class, set_aside
