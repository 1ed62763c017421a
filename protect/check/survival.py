"""What happens to a carrier between release and training: re-encoding, resizing, a latent model's VAE."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from protect.embed.verify import seen
from protect.keys.tree import Ids
from protect.marks.family import MarkFamily, Pixels

Treatment = Callable[[Pixels], Pixels]
"""From an RGB picture (H, W, 3) to one of the same size."""


@dataclass(frozen=True, slots=True)
class Survival:
    """How a throw-away mark stands among its decoys after a treatment, over all test carriers together."""

    treatment: str
    planted: float
    best_decoy: float
    rank_p: float
    """(1 + decoys that score as high) / (decoys + 1): exact for this mark and these pictures."""


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
    """Encode to latents and back with a diffusers VAE.

    Args:
        folder: a diffusers pipeline, or its `vae` folder.

    Raises:
        InputError: if there is no VAE.
    """
    import torch

    from protect.vae import down_factor, load_vae

    vae = load_vae(folder)
    factor = down_factor(vae)

    def treat(picture: Pixels) -> Pixels:
        height, width = picture.shape[:2]
        fitted = Image.fromarray(picture).resize(
            (max(factor, round(width / factor) * factor), max(factor, round(height / factor) * factor))
        )
        pixels = torch.from_numpy(np.asarray(fitted).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample[0]
        back = ((decoded.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().numpy().astype(np.uint8)
        return np.asarray(Image.fromarray(back).resize((width, height)))

    return treat


def survival(
    family: MarkFamily,
    treatment: str,
    treat: Treatment,
    marked: Sequence[Pixels],
    originals: Sequence[Pixels],
    marks: Ids,
) -> Survival:
    """Rank the planted mark (the first id) on treated carriers.

    Paired families compare with the treated originals: the best case, in which a model repeats its carriers.
    """
    total = np.zeros(len(marks))
    for carrier, original in zip(marked, originals, strict=True):
        outputs, twins = (seen(family, treat(picture)) for picture in (carrier, original))
        total += family.score(outputs, twins if family.paired else None, marks)
    scores = np.round(total / len(marked), 9)
    p = (1 + np.count_nonzero(scores[1:] >= scores[0])) / len(scores)
    return Survival(treatment, float(scores[0]), float(scores[1:].max()), float(p))
