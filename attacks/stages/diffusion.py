"""Attacks on pictures with the help of the thief's own base model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from attacks.stages.attack import Captioned, Resources
from detect.suspects.images.folder import load_pipeline, native_size
from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture import architecture_of
from protect.marks.family import Pixels
from protect.vae import as_tensor, encode

_MULTIPLE = 16
"""Sides of pictures are made multiples of this many pixels; twice the usual factor of a VAE."""
_STEPS = 20


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
    unet = getattr(pipeline, "unet", None)
    multiple = pipeline.vae_scale_factor * (2 ** (len(unet.config.block_out_channels) - 1) if unet is not None else 2)
    side = native_size(pipeline) or min(picture.shape[:2])
    factor = side / min(picture.shape[:2])
    height, width = (max(multiple, round(factor * s / multiple) * multiple) for s in picture.shape[:2])
    return Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC)


def _redrawn(
    pipeline: Any, picture: Pixels, prompt: str, steps: int, guidance: float, rng: np.random.Generator
) -> Pixels:
    """The picture noised, and denoised by the last so many of `_STEPS` steps."""
    start = _at_home(picture, pipeline)
    sides = {"width": start.width, "height": start.height}
    taken = inspect.signature(pipeline.__call__).parameters
    with silenced_libraries():  # schedulers warn about NumPy
        done = pipeline(
            prompt,
            image=start,
            strength=steps / _STEPS,
            guidance_scale=guidance,
            num_inference_steps=_STEPS,
            generator=torch.Generator("cpu").manual_seed(int(rng.integers(2**63))),
            **{name: side for name, side in sides.items() if name in taken},
        )
    return _as_before(done.images[0], picture)


def _as_before(image: Image.Image, picture: Pixels) -> Pixels:
    size = picture.shape[1], picture.shape[0]
    return np.asarray(image if image.size == size else image.resize(size, Image.Resampling.BICUBIC))


@torch.inference_mode()
def round_trips(picture: Pixels, strength: float, rng: np.random.Generator, resources: Resources) -> Pixels:
    """Encoded and decoded by the base's VAE, up to four times."""
    if strength == 0:
        return picture
    vae = _pipeline(resources.base, resources.device).vae
    scaled = as_tensor(np.asarray(_fitting(picture, _MULTIPLE))[None]).to(vae.device)
    for _ in range(max(1, round(4 * strength))):
        scaled = vae.decode(encode(vae, scaled)).sample.clamp(-1, 1)
    done = (scaled[0].permute(1, 2, 0).cpu().numpy() + 1) * 127.5
    return _as_before(Image.fromarray(np.round(done).astype(np.uint8)), picture)


def purify(picture: Pixels, strength: float, rng: np.random.Generator, resources: Resources) -> Pixels:
    """Noised and denoised without a prompt (SDEdit, arXiv 2108.01073; DiffPure, arXiv 2205.07460)."""
    steps = round(0.6 * strength * _STEPS)
    if steps == 0:
        return picture
    return _redrawn(_img2img(resources.base, resources.device), picture, "", steps, 1.0, rng)


def redraw(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """Every picture is drawn anew from itself and its caption, from up to 80 % of the noise; the caption stays."""
    steps = round(0.8 * strength * _STEPS)
    if steps == 0:
        return list(samples)
    pipeline = _img2img(resources.base, resources.device)
    return [replace(s, picture=_redrawn(pipeline, s.picture, s.caption, steps, 3.0, rng)) for s in samples]


@cache
def _img2img(base: Path, device: str) -> Any:
    """The base as a pipeline that redraws pictures.

    Raises:
        InputError: if it is of a kind that cannot be tuned here.
    """
    found = _pipeline(base, device)
    architecture_of(found, base)
    with silenced_libraries():
        from diffusers import AutoPipelineForImage2Image  # its import warns

        made: Any = AutoPipelineForImage2Image
        pipeline = made.from_pipe(found)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
