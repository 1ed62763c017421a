"""What happens to a carrier between release and training: re-encoding, resizing, a latent model's VAE."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from protect.embed.score import scored_view
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.sign_vectors import SCORE_DECIMALS

Treatment = Callable[[Pixels], Pixels]
"""From an RGB picture (H, W, 3) to one of the same size."""
UNTREATED = "none"
_TRAINED_AT = 256
"""Shorter side, in pixels, to which pictures are scaled for a VAE that was not made for larger ones, as trainers do."""


@dataclass(frozen=True, slots=True)
class Survival:
    """How a throw-away mark stands among its decoys after a treatment, over all test carriers together."""

    treatment: str
    planted: float
    best_decoy: float
    rank_p: float
    """(1 + decoys that score as high) / (decoys + 1): exact for this mark and these pictures."""


def treatments(vae: Path) -> dict[str, Treatment]:
    """All treatments by name, the first of which changes nothing.

    Args:
        vae: a diffusers pipeline, or its `vae` folder.

    Raises:
        InputError: if there is no VAE.
    """
    return {
        UNTREATED: lambda picture: picture,
        "JPEG 75": jpeg(75),
        "JPEG 50": jpeg(50),
        "resize to half": resized(0.5),
        "VAE round trip": vae_round_trip(vae),
    }


def jpeg(quality: int) -> Treatment:
    """Encode and decode as JPEG."""

    def treat(picture: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
        return np.asarray(Image.open(buffer).convert("RGB"))

    return treat


def resized(factor: float) -> Treatment:
    """Scale down and back."""

    def treat(picture: Pixels) -> Pixels:
        height, width = picture.shape[:2]
        small = Image.fromarray(picture).resize(
            (max(1, round(width * factor)), max(1, round(height * factor))), Image.Resampling.LANCZOS
        )
        return np.asarray(small.resize((width, height), Image.Resampling.LANCZOS))

    return treat


def vae_round_trip(folder: Path) -> Treatment:
    """Encode to latents and back with a diffusers VAE; larger pictures are scaled down for it, and back.

    Args:
        folder: a diffusers pipeline, or its `vae` folder.

    Raises:
        InputError: if there is no VAE.
    """
    from protect.vae import down_factor, load_vae, own_side, round_trip

    vae = load_vae(folder)
    factor, largest = down_factor(vae), max(_TRAINED_AT, own_side(vae))

    def treat(picture: Pixels) -> Pixels:
        height, width = picture.shape[:2]
        scale = min(1.0, largest / min(height, width))
        size = [max(1, round(scale * side / factor)) * factor for side in (width, height)]
        fitted = np.asarray(Image.fromarray(picture).resize((size[0], size[1])))
        return np.asarray(Image.fromarray(round_trip(vae, fitted[None])[0]).resize((width, height)))

    return treat


def beside_originals(family: MarkFamily) -> bool:
    """Whether carriers are scored beside their originals, treated alike: the best case, in which a model repeats them.

    So are those of paired families, and those whose marks are smaller than what pictures differ by anyway.
    """
    return family.paired or family.needs_looks


class Scores:
    """Scores of many marks on carriers that come one by one, the planted mark first among the marks."""

    def __init__(self, family: MarkFamily, marks: Ids) -> None:
        self._family, self._marks, self._paired = family, marks, beside_originals(family)
        self._outputs: list[Pixels] = []
        self._untriggered: list[Pixels] = []
        self._total = np.zeros(len(marks))
        self._count = 0

    def add(self, carrier: Pixels, original: Pixels) -> None:
        """Take in one carrier and its original, treated alike; RGB, shape (H, W, 3)."""
        self._outputs.append(scored_view(self._family, carrier))
        if self._paired:
            self._untriggered.append(scored_view(self._family, original))
        if self._family.carrier_side is None:  # pictures of their own sizes neither fit together nor into memory
            self._total += self._score()
            self._count += 1
            self._outputs.clear()
            self._untriggered.clear()

    def survival(self, treatment: str) -> Survival:
        """How the planted mark stands among the others."""
        scores = np.round(self._total / self._count, SCORE_DECIMALS) if self._count else self._score()
        p = (1 + np.count_nonzero(scores[1:] >= scores[0])) / len(scores)
        return Survival(treatment, float(scores[0]), float(scores[1:].max()), float(p))

    def _score(self) -> Array:
        untriggered = np.concatenate(self._untriggered) if self._paired else None
        return self._family.score(Answers(np.concatenate(self._outputs), untriggered), self._marks)


def survival(
    family: MarkFamily,
    treatment: str,
    treat: Treatment,
    marked: Sequence[Pixels],
    originals: Sequence[Pixels],
    marks: Ids,
) -> Survival:
    """Rank the planted mark, the first of `marks`, on treated carriers; pictures are RGB."""
    scores = Scores(family, marks)
    for carrier, original in zip(marked, originals, strict=True):
        scores.add(treat(carrier), treat(original))
    return scores.survival(treatment)
