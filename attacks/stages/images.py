"""Attacks on pictures: before training, or on what a suspect answers.

Strength 1 is the harshest that leaves a picture worth training on; what it stands for is said with each attack.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps

import numpy as np
import torch
from kornia import enhance, filters
from kornia.geometry import transform
from PIL import Image

from protect.check.survival import jpeg as jpeg_at
from protect.check.survival import resized
from protect.marks.family import Pixels

_SMALLEST = 8
_OnTensor = Callable[[torch.Tensor, float, np.random.Generator], torch.Tensor]
_OnPicture = Callable[[Pixels, float, np.random.Generator], Pixels]


def _on_tensor(function: _OnTensor) -> _OnPicture:
    """A function of pictures (1, 3, H, W) in [0, 1] as one of 8-bit pictures.

    At strength 0, and on pictures smaller than any filter, nothing changes.
    """

    @wraps(function)
    def apply(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
        if strength == 0 or min(picture.shape[:2]) < _SMALLEST:
            return picture
        tensor = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            done = function(tensor, strength, rng).clamp(0, 1)
        return np.asarray((done[0].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))

    return apply


def jpeg(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """JPEG; quality 95 down to 15."""
    return picture if strength == 0 else jpeg_at(round(95 - 80 * strength))(picture)


def webp(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Lossy WebP; quality 95 down to 10."""
    if strength == 0:
        return picture
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="WEBP", quality=round(95 - 85 * strength))
    return np.asarray(Image.open(buffer).convert("RGB"))


def resize(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Scaled down and back; to a quarter of the side."""
    return picture if strength == 0 else resized(1 - 0.75 * strength)(picture)


def crop(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """A window at a random place, scaled back; half of the side."""
    if strength == 0:
        return picture
    height, width = picture.shape[:2]
    inner = max(1, round(height * (1 - strength / 2))), max(1, round(width * (1 - strength / 2)))
    y, x = (int(rng.integers(0, size - part + 1)) for size, part in zip((height, width), inner, strict=True))
    window = Image.fromarray(picture[y : y + inner[0], x : x + inner[1]])
    return np.asarray(window.resize((width, height), Image.Resampling.BICUBIC))


@_on_tensor
def rotate(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Turned at random; up to 30 degrees either way."""
    angle = torch.tensor([float(rng.uniform(-1, 1)) * 30 * strength])
    return transform.rotate(x, angle, padding_mode="border")


def flip(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Mirrored with that probability."""
    return np.ascontiguousarray(picture[:, ::-1]) if rng.random() < strength else picture


@_on_tensor
def blur(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Gaussian blur; a deviation of a 32nd of the shorter side."""
    sigma = strength * min(x.shape[2:]) / 32
    size = 2 * int(np.ceil(3 * sigma)) + 1
    return filters.gaussian_blur2d(x, (size, size), (sigma, sigma))


@_on_tensor
def median(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Median filter; a 16th of the shorter side."""
    size = 2 * round(1 + strength * min(x.shape[2:]) / 32) + 1
    return filters.median_blur(x, (size, size))


def noise(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Gaussian noise; a standard deviation of 50 levels."""
    noisy = picture + 50 * strength * rng.normal(size=picture.shape)
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8) if strength else picture


@_on_tensor
def colour(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Brightness, contrast, saturation and hue at random."""
    shifts = rng.uniform(-1, 1, 4) * strength
    x = enhance.adjust_brightness(x, 0.3 * float(shifts[0]))
    x = enhance.adjust_contrast(x, 1 + 0.5 * float(shifts[1]))
    x = enhance.adjust_saturation(x, 1 + 0.8 * float(shifts[2]))
    return enhance.adjust_hue(x.clamp(0, 1), 0.8 * float(shifts[3]))


@_on_tensor
def grey(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Colours fade; to grey."""
    return enhance.adjust_saturation(x, 1 - strength)


def erase(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """A grey rectangle at a random place; half of the side."""
    height, width = picture.shape[:2]
    inner = round(height * strength / 2), round(width * strength / 2)
    y, x = (int(rng.integers(0, size - part + 1)) for size, part in zip((height, width), inner, strict=True))
    erased = picture.copy()
    erased[y : y + inner[0], x : x + inner[1]] = 127
    return erased


@_on_tensor
def quantise(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    """Fewer levels a channel; 8 down to 2 bits."""
    return enhance.posterize(x, torch.tensor([round(8 - 6 * strength)]))


def restore(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Degraded and restored, as in arXiv 2511.19316: noise and half the size, then bilateral filtering at full size."""
    if strength == 0:
        return picture
    degraded = resize(noise(picture, 0.4 * strength, rng), 0.67 * strength, rng)
    return _smooth(degraded, strength, rng)


@_on_tensor
def _smooth(x: torch.Tensor, strength: float, rng: np.random.Generator) -> torch.Tensor:
    return filters.bilateral_blur(x, (5, 5), 0.2 * strength, (1.5, 1.5))


def combined(picture: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Geometry, valuemetrics and compression at half their strength, as WAVES (arXiv 2401.08573) combines them."""
    for attack in (crop, colour, noise, jpeg):
        picture = attack(picture, strength / 2, rng)
    return picture
