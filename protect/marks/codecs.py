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
from protect.marks.family import Array, MarkFamily, Pixels
from protect.marks.sign_vectors import signs

BITS = 32
SIDE = 256
"""The package refuses smaller pictures."""


class _Codec(MarkFamily):
    """One method of the package."""

    method: str
    version = 1
    queries = 32
    paired = False
    min_side = SIDE
    carrier_side = None

    def message(self, mark: int) -> list[int]:
        """The bits of a mark."""
        return [int(sign > 0) for sign in signs(np.array([mark], dtype=np.uint64), BITS)[0]]

    def plant(self, picture: Pixels, mark: int, rng: np.random.Generator) -> Pixels:
        """Write the message into the colours; transparency stays."""
        encoder = _package().WatermarkEncoder()
        encoder.set_watermark("bits", self.message(mark))
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

    def score(self, outputs: Pixels, twins: Pixels | None, marks: Ids) -> Array:
        """Mean share of right bits, from -1 (none) to 1 (all) (see `MarkFamily.score`).

        Counted in integers, so that equal counts are equal scores.
        """
        total = self.features(outputs).sum(axis=0)
        return np.asarray((signs(marks, BITS).astype(np.int64) @ total) / (len(outputs) * BITS))


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

    def __init__(self) -> None:
        if importlib.util.find_spec("onnxruntime") is None:
            raise InputError(
                "family 'rivagan' needs the package onnxruntime", "pip install onnxruntime, or use dwtdctsvd."
            )
        _package().WatermarkEncoder.loadModel()


def _package() -> Any:
    """invisible-watermark, imported late: it brings torch."""
    import imwatermark

    return imwatermark
