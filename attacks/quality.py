"""What an attack costs the thief: a model that denoises worse, pictures further from real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from PIL import Image, ImageOps

from detect.suspects.images.folder import native_size
from detect.training.architecture.ddpm import prediction_target
from protect.marks.family import Array, Pixels
from protect.vae import as_tensor, encode

_BATCH = 16
_EARLY = 50
"""Timestep at which features are read: hardly any noise."""
_TIMES = (0.1, 0.25, 0.4, 0.6, 0.8)
"""Shares of the way to noise at which losses are measured."""


def _latents(pipeline: Any, pictures: Sequence[Pixels]) -> torch.Tensor:
    """Scaled latents of RGB pictures (H, W, 3) at the pipeline's own size."""
    side = native_size(pipeline) or min(pictures[0].shape[:2])
    fitted = [np.asarray(ImageOps.fit(Image.fromarray(p), (side, side))) for p in pictures]
    latents = encode(pipeline.vae, as_tensor(np.stack(fitted)).to(pipeline.device))
    return torch.as_tensor(latents * pipeline.vae.config.scaling_factor)


def _context(pipeline: Any, captions: Sequence[str]) -> torch.Tensor:
    ids = pipeline.tokenizer(
        list(captions),
        padding="max_length",
        truncation=True,
        max_length=pipeline.tokenizer.model_max_length,
        return_tensors="pt",
    ).input_ids
    return torch.as_tensor(pipeline.text_encoder(ids.to(pipeline.device))[0])


def _scheduler(pipeline: Any) -> Any:
    kind: Any = DDPMScheduler
    return kind.from_config(pipeline.scheduler.config)


@torch.inference_mode()
def denoising_losses(pipeline: Any, pictures: Sequence[Pixels], captions: Sequence[str]) -> Array:
    """How badly a model denoises each captioned picture: mean squared error over fixed timesteps.

    The noise is the same for all pictures, so that losses differ by picture and not by luck.

    Args:
        pipeline: a Stable Diffusion pipeline in float32.
        pictures: RGB, each (H, W, 3).
        captions: one each.

    Returns:
        Losses, shape (n,).
    """
    scheduler = _scheduler(pipeline)
    steps = scheduler.config.num_train_timesteps
    out: list[Array] = []
    for start in range(0, len(pictures), _BATCH):
        latents = _latents(pipeline, pictures[start : start + _BATCH])
        context = _context(pipeline, captions[start : start + _BATCH])
        total = torch.zeros(len(latents))
        generator = torch.Generator().manual_seed(0)
        for share in _TIMES:
            noise = torch.randn(latents.shape[1:], generator=generator).to(latents.device).expand_as(latents)
            times = torch.full((len(latents),), round(share * steps), device=latents.device)
            predicted = pipeline.unet(scheduler.add_noise(latents, noise, times), times, context).sample
            target = prediction_target(scheduler, latents, noise, times)
            total += (predicted - target).pow(2).mean(dim=(1, 2, 3)).cpu() / len(_TIMES)
        out.append(total.numpy().astype(np.float64))
    return np.concatenate(out)


@torch.inference_mode()
def features(pipeline: Any, pictures: Sequence[Pixels]) -> Array:
    """Activations of the middle block of a pipeline's UNet, averaged over places; shape (n, d)."""
    scheduler = _scheduler(pipeline)
    kept: list[Array] = []
    hook = pipeline.unet.mid_block.register_forward_hook(
        lambda _module, _given, made: kept.append(made.mean(dim=(2, 3)).cpu().numpy())
    )
    try:
        for start in range(0, len(pictures), _BATCH):
            latents = _latents(pipeline, pictures[start : start + _BATCH])
            generator = torch.Generator().manual_seed(1)  # the same noise for every picture
            noise = torch.randn(latents.shape[1:], generator=generator).to(latents.device).expand_as(latents)
            times = torch.full((len(latents),), _EARLY, device=latents.device)
            context = _context(pipeline, [""] * len(latents))
            pipeline.unet(scheduler.add_noise(latents, noise, times), times, context)
    finally:
        hook.remove()
    return np.concatenate(kept).astype(np.float64)


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
