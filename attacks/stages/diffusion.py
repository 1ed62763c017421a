"""Attacks on pictures with the help of the thief's own base model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from attacks.stages.attack import AidedAttack, Means
from detect.suspects.images.pipeline import load_pipeline, native_size
from detect.suspects.images.silence import quiet
from protect.errors import InputError
from protect.marks.family import Pixels

_MULTIPLE = 16
"""Sides of pictures are made multiples of this many pixels; twice the usual factor of a VAE."""
_PURIFY_STEPS = 20
_Redraw = Callable[[Pixels, float, np.random.Generator], Pixels]


@cache
def _pipeline(base: Path, device: str) -> Any:
    return load_pipeline(base).to(device)


def _fitting(picture: Pixels, multiple: int) -> Image.Image:
    """The picture with sides that the networks take."""
    height, width = (max(multiple, round(side / multiple) * multiple) for side in picture.shape[:2])
    image = Image.fromarray(picture)
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling.BICUBIC)


def _at_home(picture: Pixels, pipeline: Any) -> Image.Image:
    """The picture with a shorter side of the pipeline's own size, where it paints best."""
    multiple = pipeline.vae_scale_factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    side = native_size(pipeline) or min(picture.shape[:2])
    factor = side / min(picture.shape[:2])
    height, width = (max(multiple, round(factor * s / multiple) * multiple) for s in picture.shape[:2])
    return Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)


def _as_before(image: Image.Image, picture: Pixels) -> Pixels:
    size = picture.shape[1], picture.shape[0]
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BICUBIC))


def _round_trips(means: Means) -> _Redraw:
    @torch.inference_mode()
    def apply(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """Encoded and decoded, up to four times."""
        if strength == 0:
            return picture
        vae = _pipeline(means.base, means.device).vae
        image = np.asarray(_fitting(picture, _MULTIPLE))
        scaled = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].to(vae.device).float() / 127.5 - 1
        for _ in range(max(1, round(4 * strength))):
            scaled = vae.decode(vae.encode(scaled).latent_dist.mode()).sample.clamp(-1, 1)
        done = (scaled[0].permute(1, 2, 0).cpu().numpy() + 1) * 127.5
        return _as_before(Image.fromarray(np.round(done).astype(np.uint8)), picture)

    return apply


def _purification(means: Means) -> _Redraw:
    pipeline: Any = None

    def apply(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        """Noised and denoised without a prompt (SDEdit, arXiv 2108.01073; DiffPure, arXiv 2205.07460)."""
        nonlocal pipeline
        steps = round(0.6 * strength * _PURIFY_STEPS)
        if steps == 0:
            return picture
        if pipeline is None:
            pipeline = _img2img(means)
        generator = torch.Generator("cpu").manual_seed(int(rng.integers(2**63)))
        done = pipeline(
            "",
            image=_at_home(picture, pipeline),
            strength=steps / _PURIFY_STEPS,
            guidance_scale=1.0,
            num_inference_steps=_PURIFY_STEPS,
            generator=generator,
        )
        return _as_before(done.images[0], picture)

    return apply


def _img2img(means: Means) -> Any:
    base = _pipeline(means.base, means.device)
    if type(base).__name__ != "StableDiffusionPipeline":
        raise InputError(
            f"{means.base} is a {type(base).__name__}, which cannot purify", "Give --base a StableDiffusionPipeline."
        )
    with quiet():
        from diffusers import StableDiffusionImg2ImgPipeline  # its import takes seconds, and warns

    made: Any = StableDiffusionImg2ImgPipeline
    pipeline = made(**base.components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


ROUND_TRIPS = AidedAttack("vae", "through the base's VAE and back, up to four times", _round_trips, "images")
PURIFICATION = AidedAttack(
    "purify", "noised up to 60 % of the way and denoised by the base, without a prompt", _purification, "images"
)
ATTACKS = (ROUND_TRIPS, PURIFICATION)
