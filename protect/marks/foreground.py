"""What in a picture is foreground: its alpha, else what differs from an even border, else a soft card."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from protect.marks.interface import Array, Pixels

_EVEN_BORDER = 10.0
_SAME_COLOUR = 12.0


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
    even = np.mean(np.abs(border - colour).max(axis=1) <= _EVEN_BORDER) > 0.8
    return _keyed_out(rgb, colour) if even else _feathered_card(*rgb.shape[:2])


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
