"""What an attack costs the thief: a model that denoises worse, pictures further from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from detect.suspects.images.folder import native_size
from detect.training.architecture import Architecture
from detect.training.learned import denoising_errors
from detect.training.samples import scaled
from protect.marks.family import Array, Pixels
from protect.vae import as_tensor, encode

_BATCH = 16
_EARLY = 0.05
"""Share of the way to noise at which features are read: hardly any noise."""


def _latents(model: Architecture, pictures: Sequence[Pixels]) -> torch.Tensor:
    """Scaled latents of RGB pictures (H, W, 3) at the model's own size."""
    pipeline = model.pipeline
    side = native_size(pipeline) or min(pictures[0].shape[:2])
    fitted = [np.asarray(ImageOps.fit(Image.fromarray(p), (side, side))) for p in pictures]
    return scaled(pipeline.vae, encode(pipeline.vae, as_tensor(np.stack(fitted)).to(pipeline.device)))


@torch.inference_mode()
def denoising_losses(model: Architecture, pictures: Sequence[Pixels], captions: Sequence[str]) -> Array:
    """How badly a model denoises each captioned picture: mean squared error over fixed times.

    The noise is the same for all pictures, so that losses differ by picture and not by luck.

    Args:
        model: in float32.
        pictures: RGB, each (H, W, 3).
        captions: one each.

    Returns:
        Losses, shape (n,).
    """
    out: list[Array] = []
    for start in range(0, len(pictures), _BATCH):
        latents = _latents(model, pictures[start : start + _BATCH])
        embedded = model.embed(list(captions[start : start + _BATCH]))
        out.append(denoising_errors(model, latents, embedded).cpu().numpy().astype(np.float64))
    return np.concatenate(out)


@torch.inference_mode()
def features(model: Architecture, pictures: Sequence[Pixels]) -> Array:
    """Activations in the middle of a model's denoiser, averaged over places; shape (n, d)."""
    kept: list[Array] = []
    hook = _middle(model.denoiser).register_forward_hook(
        lambda _module, _given, made: kept.append(_over_places(made).cpu().numpy())
    )
    try:
        for start in range(0, len(pictures), _BATCH):
            latents = _latents(model, pictures[start : start + _BATCH])
            generator = torch.Generator().manual_seed(1)  # the same noise for every picture
            noise = torch.randn(latents.shape[1:], generator=generator).to(latents.device).expand_as(latents)
            times = torch.full((len(latents),), model.time_at(_EARLY), device=latents.device)
            noisy, _ = model.mix(latents, noise, times)
            model.predict(noisy, times, model.embed([""] * len(latents)))
    finally:
        hook.remove()
    return np.concatenate(kept).astype(np.float64)


def _middle(denoiser: Any) -> Any:
    """The middle block of a UNet, or of the blocks in which a transformer looks at picture and text together."""
    if hasattr(denoiser, "mid_block"):
        return denoiser.mid_block
    return denoiser.transformer_blocks[len(denoiser.transformer_blocks) // 2]


def _over_places(made: Any) -> torch.Tensor:
    """Mean of what a block gave: a UNet's (n, d, h, w), or a transformer's text and picture, (n, tokens, d) each."""
    return torch.as_tensor(made[1].mean(dim=1) if isinstance(made, tuple) else made.mean(dim=(2, 3)))


def kernel_distance(a: Array, b: Array) -> float:
    """Kernel inception distance (arXiv 1801.01401) of two sets of features (n, d): unbiased, cubic kernel.

    Both sets are scaled by the second's standard deviations. Around 0 for sets of one distribution; may be negative.
    """
    scale = b.std(axis=0) + 1e-9
    a, b = a / scale, b / scale

    def kernel(x: Array, y: Array) -> Array:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    n, m = len(a), len(b)
    own, other = kernel(a, a), kernel(b, b)
    return float(
        (own.sum() - np.trace(own)) / (n * (n - 1))
        + (other.sum() - np.trace(other)) / (m * (m - 1))
        - 2 * kernel(a, b).mean()
    )
