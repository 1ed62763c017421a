"""What an attack is: a pure function with a strength in [0, 1], told by where in the chain it strikes.

At strength 0 nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detect.suspects.images import Query, Sampler
from detect.training.finetune import FinetuneOptions
from protect.errors import InputError
from protect.marks.family import Pixels


@dataclass(frozen=True, slots=True)
class Item:
    """One training sample in a thief's hands."""

    key: str
    picture: Pixels
    """RGB, shape (H, W, 3)."""
    caption: str


@dataclass(frozen=True, slots=True)
class ImageAttack:
    """Alters one picture; used on training pictures and on outputs alike."""

    name: str
    summary: str
    apply: Callable[[Pixels, float, np.random.Generator], Pixels]
    kind: str = "images"
    """Or "outputs" for what makes sense there only."""


@dataclass(frozen=True, slots=True)
class CaptionAttack:
    """Alters captions, all together since some need the whole vocabulary; used on training captions and on prompts."""

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


@dataclass(frozen=True, slots=True)
class ModelAttack:
    """Alters a trained model: (its diffusers folder, strength, seed, folder to make)."""

    name: str
    summary: str
    apply: Callable[[Path, float, int, Path], None]
    kind = "model"


@dataclass(frozen=True, slots=True)
class ApiAttack:
    """Alters what a provider makes of the questions put to the model."""

    name: str
    summary: str
    apply: Callable[[Sequence[Query], Sampler, float], tuple[list[Query], Sampler]]
    kind = "api"


Plain = ImageAttack | CaptionAttack | DatasetAttack | TrainingAttack | ModelAttack | ApiAttack


@dataclass(frozen=True, slots=True)
class Means:
    """What a thief has besides the published copy."""

    base: Path
    """The diffusers folder that he tunes."""
    clean: Path
    """Folder of captioned pictures of the same kind, which nobody marked."""
    second: Callable[[], Path]
    """Folder of another recipient's copy of the same dataset; made when first asked for."""
    tuning: FinetuneOptions
    """How he trains."""
    device: str = "cpu"
    captioner: Path | None = None
    """Folder of an image-to-text model."""


@dataclass(frozen=True, slots=True)
class AidedAttack:
    """An attack that needs more than the copy: a model, clean pictures, another copy."""

    name: str
    summary: str
    arm: Callable[[Means], Callable[..., Any]]
    """Gives what the attacks of its kind apply."""
    kind: str


Attack = Plain | AidedAttack
_AIDED: dict[str, Callable[..., Plain]] = {"images": ImageAttack, "dataset": DatasetAttack, "model": ModelAttack}


def armed(attack: Attack, means: Means) -> Plain:
    """The attack, ready to be applied."""
    if not isinstance(attack, AidedAttack):
        return attack
    return _AIDED[attack.kind](attack.name, attack.summary, attack.arm(means))


def check_strength(strength: float) -> float:
    """The strength itself.

    Raises:
        InputError: if it is not in [0, 1].
    """
    if not 0 <= strength <= 1:
        raise InputError(f"strength {strength} is out of range", "Allowed: 0 to 1.")
    return strength
