"""How a dataset is divided: two thirds are the owner's, a quarter is clean data that the thief has besides, and a
twelfth is held out to measure what an attack costs him.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from protect.errors import InputError
from protect.files import pretty_json, write_atomic
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.formats.record import SetAside

PARTS = {"held-out": (0,), "clean": (1, 5, 9), "own": (2, 3, 4, 6, 7, 8, 10, 11)}
"""Who has which of every twelve samples."""
LEAST = 48
"""Samples without which there is nothing to divide."""
_SET_ASIDE = "set-aside.json"


def divide(dataset: Path, work: Path, reading: ReadOptions = AS_IT_IS) -> tuple[SetAside, ...]:
    """Write the three parts of a dataset as folders, unless they are there.

    Args:
        dataset: the owner's, in any format.
        work: folder for the parts.
        reading: what the owner says about the dataset.

    Returns:
        Samples that are in no part because they cannot be used, with their reasons.

    Raises:
        InputError: if too few samples are left.
    """
    from attacks.stages.samples import read_samples, write_samples  # not needed to say what a run would cost

    path = work / _SET_ASIDE
    if path.exists() and all((work / name).exists() for name in PARTS):
        return tuple(SetAside(**row) for row in json.loads(path.read_bytes()))
    found = read_samples(dataset, reading)
    check_enough(dataset, len(found.samples), found.set_aside)
    work.mkdir(parents=True, exist_ok=True)
    write_atomic(path, pretty_json([asdict(aside) for aside in found.set_aside]))
    for name, places in PARTS.items():
        write_samples([s for i, s in enumerate(found.samples) if i % 12 in places], work / name)
    return found.set_aside


def check_enough(dataset: Path, samples: int, set_aside: tuple[SetAside, ...] = ()) -> None:
    """Refuse a dataset of too few samples.

    Raises:
        InputError: with their number, and the first reason why others were set aside.
    """
    if samples < LEAST:
        reason = f" ({len(set_aside)} set aside; {set_aside[0].key}: {set_aside[0].reason})" if set_aside else ""
        raise InputError(f"{dataset} holds {samples} samples{reason}", f"Attacks are measured on {LEAST} or more.")
