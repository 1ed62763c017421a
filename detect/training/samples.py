"""Captioned pictures as a fine-tuning step sees them: order, latents, caption embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from detect.pictures import file_of
from detect.training.architecture import Architecture, Embedded
from protect.errors import InputError
from protect.execution.budget import BYTES_PER_PIXEL, MemoryBudget
from protect.execution.threads import map_in_order
from protect.files import canonical_json
from protect.formats.record import Record, SetAside, normalised
from protect.marks.family import Pixels
from protect.pixels.measure import on_white
from protect.pixels.picture import PictureError, pixel_count, read_rgba

KEPT_SAMPLES, KEPT_SIDE = 20_000, 128
"""Datasets up to this many pictures of up to this side are encoded once and stay in memory."""
_ENCODED = 32
"""Pictures that are encoded together."""
KEPT_TEXT = 2**30
"""Caption embeddings up to this many bytes are computed once and stay in memory."""


def read_picture(data: bytes, size: int) -> Pixels:
    """A picture file as uint8 RGB (size, size, 3): upright, alpha over white, scaled, centre cropped.

    Raises:
        PictureError: if it cannot be decoded.
    """
    picture = Image.fromarray(on_white(read_rgba(data)))
    whole = min(picture.size) % size == 0  # a box filter is exact for whole factors, and the identity for 1
    method = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.fit(picture, (size, size), method=method))


def scaled(vae: Any, latents: Tensor) -> Tensor:
    """Latents of a VAE as its denoiser takes them: about zero, of about unit deviation."""
    return (latents - float(getattr(vae.config, "shift_factor", None) or 0)) * float(vae.config.scaling_factor)


def sample_order(count: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Indices of one step's samples, shape (batch,): shuffled passes, so all are seen equally often.

    >>> sorted(i for step in range(6) for i in sample_order(9, 3, step, 0)) == sorted([*range(9)] * 2)
    True
    """
    places = np.arange(step * batch, (step + 1) * batch)
    passes = {p: np.random.default_rng([seed, 0, p]).permutation(count) for p in np.unique(places // count)}
    return np.array([passes[place // count][place % count] for place in places], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Looked:
    """A sample once its file was read."""

    record: Record
    sha256: str
    """Of the picture file; empty if it could not be read."""
    found: Pixels | SetAside


def _look(record: Record, size: int, budget: MemoryBudget) -> _Looked:
    """Read a sample's picture, or say why that is not possible; large pictures wait for memory."""
    data = file_of(record)
    if isinstance(data, SetAside):
        return _Looked(record, "", data)
    name = sha256(data).hexdigest()
    try:
        with budget.hold(pixel_count(data) * BYTES_PER_PIXEL):
            return _Looked(record, name, read_picture(data, size))
    except PictureError as error:
        return _Looked(record, name, SetAside(record.key, error.what))


class Latents:
    """Means and deviations of the pictures' latents, encoded once where they fit in memory.

    Every picture is read once to begin with: those that cannot be are set aside, and the rest is trained on.

    Args:
        vae: the model's autoencoder.
        samples: what to train on.
        size: side of the training pictures in pixels.
        device: where to encode.
        mirrored: whether pictures will be wanted in a mirror, too.

    Raises:
        InputError: if no picture can be read.
    """

    def __init__(self, vae: Any, samples: Sequence[Record], size: int, device: str, *, mirrored: bool = False) -> None:
        self.vae, self.size, self.device, self._sides = vae, size, device, 1 + mirrored
        self.records: list[Record] = []
        self.set_aside: list[SetAside] = []
        self._content: list[list[str]] = []
        keep = len(samples) <= KEPT_SAMPLES and size <= KEPT_SIDE
        chunks, waiting, budget = list[Tensor](), list[Pixels](), MemoryBudget()
        for looked in map_in_order(lambda record: _look(record, size, budget), samples):
            if isinstance(looked.found, SetAside):
                self.set_aside.append(looked.found)
                continue
            self.records.append(looked.record)
            self._content.append([normalised(looked.record.key), looked.record.caption, looked.sha256])
            if keep:
                waiting.append(looked.found)
            if len(waiting) == _ENCODED:
                chunks.append(self._encode_all_sides(waiting))
                waiting = []
        if waiting:
            chunks.append(self._encode_all_sides(waiting))
        if not self.records:
            first = self.set_aside[0]
            raise InputError(
                f"none of {len(samples)} pictures can be read, first {first.key}: {first.reason}", "Replace them."
            )
        self.kept = torch.cat(chunks, dim=2) if chunks else None
        """Shape (sides, 2, n, channels, h, w): as they are and mirrored, means and deviations."""

    @property
    def digest(self) -> str:
        """What is trained on: keys, captions and bytes of the pictures, in order; 64 hex digits."""
        return sha256(canonical_json(self._content)).hexdigest()

    @torch.no_grad()
    def _encode(self, pictures: Sequence[Pixels]) -> Tensor:
        """Mean and standard deviation, float (2, n, channels, h, w) on the training device."""
        pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
        posterior = self.vae.encode(pixels.to(self.device).float() / 127.5 - 1).latent_dist
        return torch.stack([posterior.mean, posterior.std])

    def _encode_all_sides(self, pictures: Sequence[Pixels]) -> Tensor:
        """Float (sides, 2, n, channels, h, w)."""
        sides = [self._encode(pictures)]
        if self._sides > 1:
            sides.append(self._encode([picture[:, ::-1] for picture in pictures]))
        return torch.stack(sides)

    def __call__(self, index: NDArray[np.int64], noise: Tensor, mirrored: NDArray[np.bool_] | None = None) -> Tensor:
        """Scaled latents drawn with standard normal `noise`, float (n, channels, h, w).

        Args:
            index: which pictures, shape (n,).
            noise: of the latents' shape.
            mirrored: which of them in a mirror, shape (n,); None for none.
        """
        sides = np.zeros(len(index), dtype=np.int64) if mirrored is None else mirrored.astype(np.int64)
        if self.kept is None:
            pictures = [read_picture(self.records[i].read(), self.size) for i in index]
            mean, std = self._encode([p[:, ::-1] if side else p for p, side in zip(pictures, sides, strict=True)])
        else:
            mean, std = self.kept[sides, :, index].unbind(1)
        return scaled(self.vae, mean + std * noise)

    def means(self, places: range) -> Tensor:
        """The most likely scaled latents of some pictures, float (n, channels, h, w)."""
        if self.kept is not None:
            return scaled(self.vae, self.kept[0, 0, places.start : places.stop])
        return scaled(self.vae, self._encode([read_picture(self.records[i].read(), self.size) for i in places])[0])


class Texts:
    """Caption embeddings; once per caption where the encoders are frozen and they fit in memory."""

    def __init__(self, architecture: Architecture, captions: Sequence[str], frozen: bool) -> None:
        self.architecture = architecture
        self.places = {caption: i for i, caption in enumerate(dict.fromkeys(["", *captions]))}
        self.kept: Embedded | None = None
        if frozen:
            self.kept = self._embed_all(list(self.places))

    @torch.no_grad()
    def _embed_all(self, unique: list[str]) -> Embedded | None:
        """All captions, or nothing if they would take too much memory."""
        row = sum(part.nbytes for part in self.architecture.embed(unique[:1]))
        if row * len(unique) > KEPT_TEXT:
            return None
        chunks = [self.architecture.embed(unique[i : i + 64]) for i in range(0, len(unique), 64)]
        return tuple(torch.cat(parts) for parts in zip(*chunks, strict=True))

    def __call__(self, captions: list[str]) -> Embedded:
        """Embeddings of `captions`."""
        if self.kept is None:
            return self.architecture.embed(captions)
        index = torch.tensor([self.places[c] for c in captions], device=self.kept[0].device)
        return tuple(part[index] for part in self.kept)
