"""How far a model has learned what captions say: one number, for any kind of model that can be trained here."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detect.training.architecture import Architecture, Embedded
from detect.training.samples import Latents
from protect.formats.record import Record
from protect.progress import Progress, no_progress

PICTURES, FEW, LARGE = 192, 48, 128
"""Pictures that are looked at; so few where their side is larger than the third, in pixels."""
SHARES = (0.1, 0.25, 0.4, 0.6, 0.8)
"""Of the way to noise, at which a model's errors are measured."""
_BATCH = 16


@torch.inference_mode()
def captions_learned(
    model: Architecture, samples: Sequence[Record], size: int, device: str, progress: Progress = no_progress
) -> float:
    """By what part a model errs less with pictures' own captions than with those of other pictures.

    Errors are the squared ones that training lowers, at fixed times and with the same noise for all pictures. The
    pictures are those that it was trained on, as evenly spaced as they come: what counts is how far the captions
    were learned, not how well that carries over.

    Args:
        model: a trained model on `device`, in any precision.
        samples: what it was trained on.
        size: side of the pictures in pixels.
        device: as torch names it.
        progress: called with (stage, done, total).

    Returns:
        1 - (mean error with own captions) / (mean error with others'); 0 for a model that ignores captions.

    Raises:
        InputError: if no picture can be read.
    """
    count = PICTURES if size <= LARGE else FEW
    chosen = samples[:: max(1, len(samples) // count)][:count]
    precision = next(model.denoiser.parameters()).dtype
    with torch.autocast(torch.device(device).type, dtype=precision, enabled=precision != torch.float32):
        latents = Latents(model.pipeline.vae, chosen, size, device)
        captions = [record.caption for record in latents.records]
        others = captions[len(captions) // 2 :] + captions[: len(captions) // 2]
        own, wrong = (_mean_error(model, latents, said, progress) for said in (captions, others))
    return 1 - own / wrong


def _mean_error(model: Architecture, latents: Latents, captions: Sequence[str], progress: Progress) -> float:
    """Mean squared error over pictures and times."""
    total = 0.0
    for start in range(0, len(captions), _BATCH):
        said = list(captions[start : start + _BATCH])
        clean = latents.means(range(start, start + len(said)))
        embedded = model.embed(said)
        total += float(denoising_errors(model, clean, embedded).sum())
        progress("how far captions were learned", start + len(said), len(captions))
    return total / len(captions)


def denoising_errors(model: Architecture, clean: Tensor, embedded: Embedded) -> Tensor:
    """Squared errors of a denoiser, mean over fixed times, shape (n,); the noise is the same for every picture.

    Args:
        model: whose denoiser.
        clean: scaled latents, float (n, channels, h, w).
        embedded: the captions that the denoiser is told, as `model.embed` gives them.
    """
    total, generator = torch.zeros(len(clean), device=clean.device), torch.Generator().manual_seed(0)
    for share in SHARES:
        noise = torch.randn(clean.shape[1:], generator=generator).to(clean.device).expand_as(clean)
        times = torch.full((len(clean),), model.time_at(share), device=clean.device)
        noisy, target = model.mix(clean, noise, times)
        total += (model.predict(noisy, times, embedded).float() - target).pow(2).mean(dim=(1, 2, 3)) / len(SHARES)
    return total
