"""Captioned pictures as a fine-tuning step sees them: order, latents, caption embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from protect.errors import InputError

KEPT_SAMPLES, KEPT_SIDE = 20_000, 128
"""Datasets up to this many pictures of up to this side are encoded once and stay in memory."""
KEPT_TEXT = 2**30
"""Caption embeddings up to this many bytes are computed once and stay in memory."""


def read_picture(path: Path, size: int) -> NDArray[np.uint8]:
    """A picture as uint8 RGB (size, size, 3): upright, alpha over white, scaled, centre cropped."""
    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened).convert("RGBA")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as a picture ({error})", "Remove or replace it.") from error
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB")
    whole = min(flat.size) % size == 0  # a box filter is exact for whole factors, and the identity for 1
    method = Image.Resampling.BOX if whole else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.fit(flat, (size, size), method=method))


def sample_order(count: int, batch: int, step: int, seed: int) -> NDArray[np.int64]:
    """Indices of one step's samples, shape (batch,): shuffled passes, so all are seen equally often.

    >>> sorted(i for step in range(6) for i in sample_order(9, 3, step, 0)) == sorted([*range(9)] * 2)
    True
    """
    places = np.arange(step * batch, (step + 1) * batch)
    passes = {p: np.random.default_rng([seed, 0, p]).permutation(count) for p in np.unique(places // count)}
    return np.array([passes[place // count][place % count] for place in places], dtype=np.int64)


class Latents:
    """Means and deviations of the pictures' latents, encoded once where they fit in memory."""

    def __init__(self, vae: Any, paths: Sequence[Path], size: int, device: str) -> None:
        self.vae, self.paths, self.size, self.device = vae, paths, size, device
        self.kept: Tensor | None = None
        if len(paths) <= KEPT_SAMPLES and size <= KEPT_SIDE:
            chunks = [self._encode(paths[i : i + 32]) for i in range(0, len(paths), 32)]
            self.kept = torch.cat(chunks, dim=1)

    @torch.no_grad()
    def _encode(self, paths: Sequence[Path]) -> Tensor:
        """Mean and standard deviation, float (2, n, channels, h, w) on the training device."""
        pixels = np.stack([read_picture(path, self.size) for path in paths])
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.device).float() / 127.5 - 1
        posterior = self.vae.encode(scaled).latent_dist
        return torch.stack([posterior.mean, posterior.std])

    def __call__(self, index: NDArray[np.int64], noise: Tensor) -> Tensor:
        """Scaled latents drawn with standard normal `noise`, float (n, channels, h, w)."""
        if self.kept is None:
            mean, std = self._encode([self.paths[i] for i in index])
        else:
            mean, std = self.kept[:, torch.from_numpy(index).to(self.kept.device)]
        latents: Tensor = (mean + std * noise) * float(self.vae.config.scaling_factor)
        return latents


class Texts:
    """Caption embeddings; once per caption where the encoder is frozen and they fit in memory."""

    def __init__(self, pipeline: Any, captions: Sequence[str], frozen: bool) -> None:
        self.encoder, self.tokenizer = pipeline.text_encoder, pipeline.tokenizer
        self.places = {caption: i for i, caption in enumerate(dict.fromkeys(["", *captions]))}
        self.kept: Tensor | None = None
        row = 4 * self.tokenizer.model_max_length * self.encoder.config.hidden_size
        if frozen and row * len(self.places) <= KEPT_TEXT:
            unique = list(self.places)
            with torch.no_grad():
                self.kept = torch.cat([self._encode(unique[i : i + 64]) for i in range(0, len(unique), 64)])

    def _encode(self, captions: list[str]) -> Tensor:
        """Last hidden states, float (n, tokens, width)."""
        tokens = self.tokenizer(
            captions,
            padding="max_length",
            truncation=True,
            max_length=self.tokenizer.model_max_length,
            return_tensors="pt",
        )
        mask = tokens.attention_mask if getattr(self.encoder.config, "use_attention_mask", False) else None
        device = self.encoder.device
        states: Tensor = self.encoder(
            tokens.input_ids.to(device), attention_mask=None if mask is None else mask.to(device)
        )[0]
        return states

    def __call__(self, captions: list[str]) -> Tensor:
        """Embeddings of `captions`, float (n, tokens, width)."""
        if self.kept is None:
            return self._encode(captions)
        return self.kept[torch.tensor([self.places[c] for c in captions], device=self.kept.device)]
