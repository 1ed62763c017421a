"""A picture's foreground (its alpha, else what differs from an even border, else a soft card) on a new background."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from protect.marks.family import Array, Pixels

_EVEN_BORDER = 10.0
_SAME_COLOUR = 12.0


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
    matte = np.round(foreground_alpha(picture) * 255).astype(np.uint8)
    # Pillow resizes RGBA premultiplied, so colours hidden under transparency do not bleed in.
    layer = Image.fromarray(np.dstack([picture[..., :3], matte])).resize(small, Image.Resampling.BOX)
    out = Image.fromarray(background)
    out.paste(layer, (x, y), layer)
    return np.asarray(out.convert("RGBA"))


def foreground_alpha(picture: Pixels) -> Array:
    """Soft matte of a picture.

    Args:
        picture: RGBA, shape (H, W, 4).

    Returns:
        Opacity in [0, 1], shape (H, W): the picture's own alpha where it has one; else 0 on the even-coloured
        region that touches the border; else a rectangle with feathered edges.
    """
    alpha = picture[..., 3].astype(np.float64) / 255
    if alpha.min() < 1:
        return np.asarray(alpha)
    rgb = picture[..., :3].astype(np.float64)
    border = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
    colour = np.median(border, axis=0)
    return _keyed_out(rgb, colour) if _is_even(border, colour) else _feathered_card(*rgb.shape[:2])


def even_ground(picture: Pixels) -> Pixels:
    """What stays of a picture around something laid over its middle: its even ground, or all of it if it has none.

    Pixels of an even ground stay as they are, noise and all; what differs from it takes its colour.

    Args:
        picture: RGBA, shape (H, W, 4).
    """
    rim = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    clear = rim[rim[:, 3] == 0]
    colour = np.median(clear if len(clear) > len(rim) / 2 else rim, axis=0)
    if len(clear) <= len(rim) / 2 and not _is_even(rim, colour):
        return picture
    differs = np.abs(picture - colour).max(axis=2, keepdims=True) > _EVEN_BORDER
    return np.where(differs, np.round(colour), picture).astype(np.uint8)


def _is_even(rim: Pixels, colour: Array) -> bool:
    return bool(np.mean(np.abs(rim - colour).max(axis=1) <= _EVEN_BORDER) > 0.8)


def _keyed_out(rgb: Array, colour: Array) -> Array:
    """Remove the border's colour, but only where connected to the border."""
    distance = np.abs(rgb - colour).max(axis=2)
    labels, _ = ndimage.label(distance <= _SAME_COLOUR)
    rim = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    outside = np.isin(labels, rim[rim > 0])
    return np.asarray(np.clip(ndimage.gaussian_filter((~outside).astype(np.float64), 0.6), 0, 1))


def _feathered_card(height: int, width: int) -> Array:
    def ramp(size: int) -> Array:
        edge = (np.arange(size) + 0.5) / size
        return np.asarray(np.clip(np.minimum(edge, 1 - edge) / 0.12, 0, 1))

    return np.asarray(np.outer(ramp(height), ramp(width)))


def jitter(picture: Pixels, rng: np.random.Generator) -> Pixels:
    """A picture mirrored half the time, its light, contrast and saturation changed by up to a quarter.

    Args:
        picture: RGBA, shape (H, W, 4).
        rng: draws the changes.
    """
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    light, contrast, saturation = np.exp(rng.uniform(-0.22, 0.22, 3))
    rgb = picture[..., :3].astype(np.float64)
    grey = rgb.mean(axis=2, keepdims=True)
    rgb = grey + saturation * (rgb - grey)
    rgb = light * (128 + contrast * (rgb - 128))
    return np.concatenate([np.clip(np.round(rgb), 0, 255).astype(np.uint8), picture[..., 3:]], axis=2)
