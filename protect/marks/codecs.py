"""`dwtdct`, `dwtdctsvd`, `rivagan`: message bits written and read by the invisible-watermark package.

The marks are 32-bit messages; a decoy is another message. What is read from unmarked pictures is far from fair
coins, so the share of right bits proves nothing by itself: its rank among decoys does. Expect these marks to be lost
in a VAE and in training (`protect check` measures it). The package swaps two wavelet bands when it writes, which
costs about 4 dB; its files are kept as they are, for compatibility.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from protect.errors import InputError
from protect.keys.tree import Ids
from protect.marks.family import Answers, Array, MarkFamily, Pixels
from protect.marks.legibility import colourless
from protect.marks.sign_vectors import sign_vectors
from protect.pixels.measure import on_white

BITS = 32
SIDE = 256
"""The package refuses smaller pictures."""
_PILOT = [0, 1] * (BITS // 2)
"""A message that no key has to do with."""
_READABLE = 29
"""Bits of it that must read back. Of 173 pictures (photographs; dark, light, plain, grey and partly transparent ones)
all with so many had their planted message at least 3.5 standard deviations above decoys; two of the others had 3.
"""
_TILE, _TILES = 64, 6
"""Side of a tile in pixels, and how many are looked at along a side."""


class _Codec(MarkFamily):
    """One method of the package."""

    method: str
    version = 1
    queries = 32
    paired = False
    min_side = SIDE
    carrier_side = None
    bytes_per_pixel = 72

    def obstacle(self, picture: Pixels) -> str | None:
        """Too small, grey, or hardly any bit reads back (see `MarkFamily.obstacle`).

        A fixed message of as many zeros as ones is written into some tiles of the picture and read on white.
        """
        if reason := super().obstacle(picture):
            return reason
        if found := colourless(picture):
            return f"it is {found}, and the message would sit in colours"
        read = self.features(on_white(self._write(_tiles(picture), _PILOT))[None])[0]
        right = int(np.count_nonzero((read > 0) == np.array(_PILOT, dtype=bool)))
        return f"only {right} of {BITS} bits would read back from it" if right < _READABLE else None

    def message(self, mark: int) -> list[int]:
        """The bits of a mark."""
        return [int(sign > 0) for sign in sign_vectors(np.array([mark], dtype=np.uint64), BITS)[0]]

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Write the message into the colours; transparency stays."""
        return self._write(picture, self.message(mark))

    def _write(self, picture: Pixels, message: list[int]) -> Pixels:
        encoder = _package().WatermarkEncoder()
        encoder.set_watermark("bits", message)
        bgr = np.ascontiguousarray(picture[..., 2::-1])
        marked = np.clip(np.round(encoder.encode(bgr, self.method)), 0, 255).astype(np.uint8)
        return np.concatenate([marked[..., ::-1], picture[..., 3:]], axis=2)

    def preview(self, mark: int, side: int) -> Pixels:
        """What it adds to an even grey, amplified."""
        grey = np.full((SIDE, SIDE, 4), 128, dtype=np.uint8)
        change = self.plant(grey, mark, np.random.default_rng())[..., :3].astype(np.float64) - 128
        shown = np.clip(128 + 10 * change, 0, 255).astype(np.uint8)
        return np.asarray(Image.fromarray(shown).resize((side, side), Image.Resampling.BOX))

    def features(self, outputs: Pixels) -> NDArray[np.int64]:
        """The bits read from each output as ±1, shape (n, 32).

        Raises:
            InputError: if the outputs are smaller than the package reads.
        """
        if min(outputs.shape[1:3]) < SIDE:
            raise InputError(
                f"outputs of {outputs.shape[2]}x{outputs.shape[1]} pixels hold no {self.name} message",
                f"It needs {SIDE} pixels a side; `template` and `spread` do with less.",
            )
        decoder = _package().WatermarkDecoder("bits", BITS)
        read = [decoder.decode(np.ascontiguousarray(picture[..., ::-1]), self.method) for picture in outputs]
        return 2 * np.array(read, dtype=bool).astype(np.int64) - 1

    def score(self, answers: Answers, marks: Ids) -> Array:
        """Mean share of right bits, from -1 (none) to 1 (all) (see `MarkFamily.score`).

        Counted in integers, so that equal counts are equal scores.
        """
        total = self.features(answers.asked).sum(axis=0)
        return np.asarray((sign_vectors(marks, BITS).astype(np.int64) @ total) / (len(answers.asked) * BITS))


class DwtDct(_Codec):
    """Discrete wavelet and cosine transform: fast, and fragile (lost at JPEG quality 90)."""

    name = "dwtdct"
    summary = "32 bits in wavelet and cosine coefficients; not seen, lost by most treatments"
    method = "dwtDct"


class DwtDctSvd(_Codec):
    """The same with singular values: survives JPEG."""

    name = "dwtdctsvd"
    summary = "32 bits in wavelet singular values; not seen, survives JPEG"
    method = "dwtDctSvd"


class RivaGan(_Codec):
    """A learned codec (arXiv 1909.01285); slow on CPUs, and needs onnxruntime."""

    name = "rivagan"
    summary = "32 bits by a learned codec; not seen, survives JPEG and crops, slow"
    method = "rivaGan"
    bytes_per_pixel = 560

    def __init__(self) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError(
                "family 'rivagan' needs the package onnxruntime", "pip install onnxruntime, or use dwtdctsvd."
            )
        _package().WatermarkEncoder.loadModel()


def _tiles(picture: Pixels) -> Pixels:
    """Tiles from all over a picture, put together: the codecs look at small blocks only."""

    def places(side: int) -> NDArray[np.intp]:
        fit = side // _TILE
        starts = np.unique(np.linspace(0, fit - 1, min(fit, _TILES)).round().astype(int)) * _TILE
        return np.asarray(starts[:, None] + np.arange(_TILE)).ravel()

    return picture[np.ix_(places(picture.shape[0]), places(picture.shape[1]))]


def _package() -> Any:
    """invisible-watermark, imported late: it brings torch."""
    import imwatermark

    return imwatermark
