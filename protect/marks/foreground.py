"""A picture's foreground (its alpha, else what differs from an even border, else a soft card) on a new background."""

from __future__ import annotations

import math

import numpy as np
import scipy
from numpy.typing import NDArray
from PIL import Image

from protect.marks.blocks import row_blocks
from protect.marks.family import Pixels

Matte = NDArray[np.uint8]
"""Opacity of a foreground, 0 to 255, shape (H, W)."""
Colour = NDArray[np.float64]

_EVEN_BORDER = 10.0
_SAME_COLOUR = 12.0
_EVEN_SHARE = 0.8
"""Share of an even border that has its colour."""
_SOFTNESS = 0.6
_FEATHER = 0.12
"""Width of a card's soft edge, as a share of its side."""


def compose(
    picture: Pixels,
    background: Pixels,
    rng: np.random.Generator,
    scale: tuple[float, float],
    place: tuple[float, float],
) -> Pixels:
    """A picture's foreground, scaled and shifted at random, on another background.

    Args:
        picture: RGBA, shape (H, W, 4).
        background: RGB, shape (H, W, 3).
        rng: draws scale and place.
        scale: smallest and largest side of the foreground, as a share of the picture's.
        place: range of its place in the free space, 0 (left, top) to 1.

    Returns:
        RGBA, shape (H, W, 4), opaque.
    """
    height, width = picture.shape[:2]
    share = rng.uniform(*scale)
    small = (max(1, round(width * share)), max(1, round(height * share)))
    x = round((width - small[0]) * rng.uniform(*place))
    y = round((height - small[1]) * rng.uniform(*place))
    # Pillow resizes RGBA premultiplied, so colours hidden under transparency do not bleed in.
    layer = np.asarray(Image.fromarray(_cut_out(picture)).resize(small, Image.Resampling.BOX))
    composed = np.full_like(picture, 255)
    composed[..., :3] = background
    lay_over(composed[y : y + small[1], x : x + small[0], :3], layer)
    return composed


def lay_over(ground: Pixels, layer: Pixels) -> None:
    """Lay a picture with transparency over an opaque one, in place.

    Args:
        ground: RGB, shape (H, W, 3).
        layer: RGBA, shape (H, W, 4).
    """
    for rows in row_blocks(*ground.shape[:2]):
        opacity = layer[rows, :, 3:].astype(np.uint16)
        mixed = layer[rows, :, :3] * opacity + ground[rows] * (255 - opacity) + np.uint16(128)
        ground[rows] = (mixed + (mixed >> 8)) >> 8  # divided by 255 and rounded, exactly


def _cut_out(picture: Pixels) -> Pixels:
    """The foreground alone, RGBA."""
    if picture[..., 3].min() < 255:
        return picture
    layer = picture.copy()
    layer[..., 3] = foreground_matte(picture)
    return layer


def foreground_matte(picture: Pixels) -> Matte:
    """Soft matte of a picture.

    Args:
        picture: RGBA, shape (H, W, 4).

    Returns:
        The picture's own alpha where it has one; else 0 on the even-coloured region that touches the border; else a
        rectangle with feathered edges.
    """
    if picture[..., 3].min() < 255:
        return picture[..., 3]
    rim = _rim(picture[..., :3])
    colour = np.median(rim, axis=0)
    return _keyed_out(picture[..., :3], colour) if _is_even(rim, colour) else _feathered_card(*picture.shape[:2])


def even_ground(picture: Pixels) -> Pixels:
    """What stays of a picture around something laid over its middle: its even ground, or all of it if it has none.

    Pixels of an even ground stay as they are, noise and all; what differs from it takes its colour.

    Args:
        picture: RGBA, shape (H, W, 4).

    Returns:
        RGBA, shape (H, W, 4), a copy.
    """
    ground, rim = picture.copy(), _rim(picture)
    clear = rim[rim[:, 3] == 0]
    mostly_clear = len(clear) > len(rim) / 2
    colour = np.median(clear if mostly_clear else rim, axis=0)
    if mostly_clear or _is_even(rim, colour):
        ground[~_near(picture, colour, _EVEN_BORDER)] = np.round(colour)
    return ground


def _rim(picture: Pixels) -> Pixels:
    """The outermost pixels, shape (n, channels)."""
    return np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])


def _is_even(rim: Pixels, colour: Colour) -> bool:
    return bool(np.mean(np.abs(rim - colour).max(axis=1) <= _EVEN_BORDER) > _EVEN_SHARE)


def _near(picture: Pixels, colour: Colour, tolerance: float) -> NDArray[np.bool_]:
    """Where all channels of a picture (H, W, c) are within `tolerance` of a colour (c,), shape (H, W)."""
    near = np.ones(picture.shape[:2], dtype=bool)
    for channel, level in enumerate(colour):
        near &= picture[..., channel] >= math.ceil(level - tolerance)
        near &= picture[..., channel] <= math.floor(level + tolerance)
    return near


def _keyed_out(rgb: Pixels, colour: Colour) -> Matte:
    """Remove the border's colour, but only where connected to the border."""
    labels, count = scipy.ndimage.label(_near(rgb, colour, _SAME_COLOUR))
    at_rim = np.zeros(count + 1, dtype=bool)
    at_rim[np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])] = True
    at_rim[0] = False
    inside = np.empty(labels.shape, dtype=np.float32)
    for rows in row_blocks(*labels.shape):
        inside[rows] = ~at_rim[labels[rows]]
    del labels
    soft = scipy.ndimage.gaussian_filter(inside, _SOFTNESS, output=np.float32)
    return _to_bytes(soft)


def _feathered_card(height: int, width: int) -> Matte:
    def ramp(size: int) -> NDArray[np.float32]:
        edge = (np.arange(size) + 0.5) / size
        return np.clip(np.minimum(edge, 1 - edge) / _FEATHER, 0, 1).astype(np.float32)

    return _to_bytes(np.outer(ramp(height), ramp(width)))


def _to_bytes(opacity: NDArray[np.float32]) -> Matte:
    """Opacities in [0, 1] in 8 bits; `opacity` is used up."""
    opacity *= 255
    return np.clip(np.rint(opacity, out=opacity), 0, 255, out=opacity).astype(np.uint8)


def jitter(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture mirrored half the time, its light, contrast and saturation changed by up to a quarter.

    Args:
        picture: RGBA, shape (H, W, 4).
        rng: draws the changes.
    """
    mirrored = bool(rng.random() < 0.5)
    light, contrast, saturation = np.exp(rng.uniform(-0.22, 0.22, 3)).astype(np.float32)
    changed = (picture[:, ::-1] if mirrored else picture).copy()
    for rows in row_blocks(*picture.shape[:2]):
        rgb = changed[rows, :, :3].astype(np.float32)
        grey = rgb.mean(axis=2, keepdims=True)
        rgb = light * (128 + contrast * (grey + saturation * (rgb - grey) - 128))
        changed[rows, :, :3] = np.clip(np.rint(rgb), 0, 255)
    return changed
