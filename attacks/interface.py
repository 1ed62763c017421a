"""What an attack is: a pure function with a strength in [0, 1], told by where in the chain it strikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detect.finetune import FinetuneOptions
from protect.errors import InputError
from protect.marks.interface import Pixels


@dataclass(frozen=True, slots=True)
class Item:
    """One training sample in a thief's hands."""

    key: str
    picture: Pixels
    """RGB, shape (H, W, 3)."""
    caption: str


@dataclass(frozen=True, slots=True)
class ImageAttack:
    """Alters one picture; used on training pictures and on outputs alike. At strength 0 nothing changes."""

    name: str
    summary: str
    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    kind = "images"


@dataclass(frozen=True, slots=True)
class CaptionAttack:
    """Alters all captions together, since some need the whole vocabulary. At strength 0 nothing changes."""

    name: str
    summary: str
    apply: Callable[[Sequence[str], float, np.random.Generator], list[str]]
    kind = "captions"


@dataclass(frozen=True, slots=True)
class DatasetAttack:
    """Chooses or adds samples."""

    name: str
    summary: str
    apply: Callable[[Sequence[Item], float, np.random.Generator], list[Item]]
    kind = "dataset"


@dataclass(frozen=True, slots=True)
class TrainingAttack:
    """Alters how the thief trains."""

    name: str
    summary: str
    apply: Callable[[FinetuneOptions, float], FinetuneOptions]
    kind = "training"


Attack = ImageAttack | CaptionAttack | DatasetAttack | TrainingAttack


def check_strength(strength: float) -> float:
    """The strength itself.

    Raises:
        InputError: if it is not in [0, 1].
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength {strength} is out of range", "Allowed: 0 to 1.")
    return strength
