"""A captioner without a model: it says what a small photograph shows of colour, place, size and light.

The words come from the picture alone (its pixels also choose among the ways of saying it), so the same picture always
gets the same caption::

    >>> caption(np.full((64, 64, 3), (90, 140, 230), dtype=np.uint8), "bird")
    'in the blue sky, a bird'
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDE = 16
"""Pictures are looked at at this size."""
NAMES = ("black", "white", "grey", "red", "orange", "brown", "yellow", "green", "teal", "blue", "purple", "pink")
HUES = ((14, "red"), (42, "orange"), (68, "yellow"), (165, "green"), (195, "teal"), (255, "blue"), (290, "purple"))
"""Upper end of each hue in degrees; pink and red follow."""
IN_AIR = {"airplane", "plane", "aeroplane", "bird"}
ON_WATER = {"ship", "boat"}
OUTDOORS = IN_AIR | ON_WATER | {"automobile", "car", "truck", "lorry", "horse", "deer"}
SAME_THING = {"airplane": ("airplane", "plane"), "automobile": ("car", "automobile"), "ship": ("ship", "boat")}
OPENINGS = ("a photo of ", "a photo of ", "a photograph of ", "a picture of ", "photo of ", "picture of ", "")
SIZES = {"small": ("small", "little", "tiny"), "large": ("large", "big"), "": ("",)}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the captioner sees in a picture."""

    subject: str
    """Colour of what stands out, or nothing if nothing does."""
    size: str
    """Small, large or nothing."""
    side: str
    """Left, right or nothing."""
    top: str
    bottom: str
    smooth_top: bool
    light: str
    """Dark, bright or nothing."""


def colour_indices(rgb: Floats) -> NDArray[np.int64]:
    """The place in NAMES of each pixel's colour; `rgb` in 0–1, shape (…, 3)."""
    value, low = rgb.max(-1), rgb.min(-1)
    chroma = value - low
    red, green, blue = np.moveaxis(rgb, -1, 0)
    safe = np.where(chroma > 0, chroma, 1)
    sector = np.where(value == red, (green - blue) / safe, np.where(value == green, (blue - red) / safe + 2, 4))
    sector = np.where((value == blue) & (value != red) & (value != green), (red - green) / safe + 4, sector)
    hue = sector * 60 % 360
    ends = np.array([end for end, _ in HUES] + [345])
    kinds = np.array([NAMES.index(name) for _, name in HUES] + [NAMES.index("pink"), NAMES.index("red")])
    found = kinds[np.searchsorted(ends, hue, side="right")]
    earth = (hue > 14) & (hue <= 50) & ((value < 0.5) | (chroma < 0.45 * value))
    found = np.where(earth, NAMES.index("brown"), found)
    neutral = np.where(value > 0.76, NAMES.index("white"), NAMES.index("grey"))
    found = np.where(chroma < np.maximum(0.07, 0.13 * value), neutral, found)
    return np.asarray(np.where(value < 0.18, NAMES.index("black"), found), dtype=np.int64)


def most_common(rgb: Floats) -> str:
    """The name of most pixels' colour; vivid pixels count more, as they do to the eye."""
    vivid = 0.4 + 2 * (rgb.max(-1) - rgb.min(-1))
    return NAMES[np.bincount(colour_indices(rgb).ravel(), vivid.ravel(), minlength=len(NAMES)).argmax()]


def shaded(rgb: Floats) -> str:
    """The most common colour, as light or dark if it is clearly so."""
    name, level = most_common(rgb), float(rgb.max(-1).mean())
    if name in {"black", "white"}:
        return name
    return ("dark " if level < 0.36 else "light " if level > 0.78 and float(rgb.min(-1).mean()) > 0.45 else "") + name


def look(picture: Pixels) -> Seen:
    """See a picture, uint8 RGB (height, width, 3)."""
    reduced = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BOX)
    rgb = np.asarray(reduced, dtype=np.float32) / 255
    top, bottom = rgb[: SIDE // 4], rgb[-SIDE // 4 :]
    edges = [np.median(part.reshape(-1, 3), axis=0) for part in (top[:2], bottom[2:], rgb[:, :2], rgb[:, -2:])]
    distance = np.min([np.linalg.norm(rgb - edge, axis=-1) for edge in edges], axis=0)
    stands_out = distance > 0.22
    share = float(stands_out.mean())
    middle = float(np.nonzero(stands_out)[1].mean()) / (SIDE - 1) if share > 0.03 else 0.5
    level = float(rgb.mean())
    return Seen(
        subject=shaded(rgb[stands_out]) if share > 0.04 else "",
        size="small" if 0.03 < share < 0.12 else "large" if share > 0.48 else "",
        side="left" if middle < 0.36 else "right" if middle > 0.64 else "",
        top=shaded(top),
        bottom=shaded(bottom),
        smooth_top=float(top.std(axis=(0, 1)).max()) < 0.09,
        light="dark" if level < 0.27 else "bright" if level > 0.72 else "",
    )


def surroundings(seen: Seen, noun: str, rng: np.random.Generator) -> str:
    """Where the subject is, with the words that lead there."""

    def one(*ways: str) -> str:
        return ways[rng.integers(len(ways))]

    sky = seen.smooth_top and seen.top.split()[-1] in {"blue", "teal", "grey", "white", "orange", "pink", "purple"}
    above = f"under a {seen.top} sky" if sky else ""
    if noun in IN_AIR and sky and seen.top.split()[-1] == seen.bottom.split()[-1]:
        return one(f"in a {seen.top} sky", f"against a {seen.top} sky", f"in the {seen.top} sky")
    if noun in ON_WATER:
        return f"{one('on', 'in')} {seen.bottom} water {above}"
    if noun in OUTDOORS:
        ground = one("grass", "grass", "ground") if "green" in seen.bottom else "ground"
        return f"on {seen.bottom} {ground} {above}"
    if seen.top == seen.bottom:
        return one(f"on a {seen.top} background", f"in front of a {seen.top} background", f"against {seen.top}")
    return one(f"with {seen.top} above and {seen.bottom} below", f"on {seen.bottom} before a {seen.top} background")


def caption(picture: Pixels, noun: str) -> str:
    """A caption for a picture of `noun`, uint8 RGB (height, width, 3)."""
    rng = np.random.default_rng(list(sha256(np.ascontiguousarray(picture).tobytes()).digest()[:8]))
    seen = look(picture)
    ways = SAME_THING.get(noun, (noun,))
    noun = ways[rng.integers(len(ways))]
    sizes = SIZES[seen.size]
    where = surroundings(seen, noun, rng)
    thing = " ".join(f"{sizes[rng.integers(len(sizes))]} {seen.subject} {noun}".split())
    opening = OPENINGS[rng.integers(len(OPENINGS))]
    if seen.light and rng.random() < 0.6:
        opening = opening.replace("a ph", f"a {seen.light} ph").replace("a pi", f"a {seen.light} pi")
        where = where.replace("in a ", f"in a {seen.light} ", 1) if seen.light not in opening else where
    side = f", on the {seen.side}" if seen.side and rng.random() < 0.7 else ""
    if rng.random() < 0.2 and not where.startswith("with"):
        return tidy(f"{where}, a {thing}{side}")
    return tidy(f"{opening}a {thing} {where}{side}")


def tidy(text: str) -> str:
    """Single spaces, none before commas, and "an" before vowels."""
    return re.sub(r"\ba (?=[aeiou])", "an ", " ".join(text.split()).replace(" ,", ","))
