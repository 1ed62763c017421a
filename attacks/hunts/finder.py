"""A finder that has learned what marks look like, as LightShed (USENIX Security 2025) learns what poison looks like.

The thief has this program and clean pictures of the same kind. He plants marks of every painted family with keys of his
own, and trains a small network to tell marked pictures from clean ones. It has never seen the owner's marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from attacks.stages.attack import Captioned, Resources
from attacks.stages.dataset import without
from attacks.stages.samples import read_captioned
from protect.marks import make_family
from protect.marks.family import Array, Pixels

PAINTED = ("template", "card", "spread", "tint", "warp")
"""Families that paint and need nothing from a keyring."""
_SIDE = 64
"""Of the pictures that the network sees: that at which carriers are scored."""
_MOST = 600
"""Clean pictures that it learns from."""
_STEPS, _BATCH, _RATE = 400, 32, 2e-3
_SHARP = 4.0
"""By how much the network is shown fine detail larger than it is."""


def drop_found(
    samples: Sequence[Captioned], strength: float, rng: np.random.Generator, resources: Resources
) -> list[Captioned]:
    """The pictures that a trained finder takes for marked are left out, the surest first; up to a fifth."""
    if strength == 0:
        return list(samples)
    finder = train_finder([s.picture for s in read_captioned(resources.clean)], rng, resources.device)
    return without(samples, suspicion(finder, [s.picture for s in samples], resources.device), 0.2 * strength)


def train_finder(clean: Sequence[Pixels], rng: np.random.Generator, device: str = "cpu") -> Any:
    """A network that tells marked pictures from clean ones; every marked one carries a mark of its own.

    Args:
        clean: RGB pictures that nobody marked.
        rng: draws the thief's keys, the network and the order of training.
        device: where to train.
    """
    chosen = [clean[i] for i in rng.permutation(len(clean))[:_MOST]]
    innocent, marked = _small(chosen), _small(planted(chosen, rng))
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**63)))
        network = _network().to(device)
    optimizer = torch.optim.Adam(network.parameters(), _RATE)
    half = _BATCH // 2
    truth = torch.cat([torch.zeros(half), torch.ones(half)]).to(device)
    for _ in range(_STEPS):
        batch = [pile[rng.integers(len(pile), size=half)] for pile in (innocent, marked)]
        seen = _as_input(np.concatenate(batch)).to(device)
        if rng.random() < 0.5:
            seen = seen.flip(-1)
        loss = nn.functional.binary_cross_entropy_with_logits(network(seen)[:, 0], truth)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return network.eval()


@torch.inference_mode()
def suspicion(finder: Any, pictures: Sequence[Pixels], device: str = "cpu") -> Array:
    """How sure the finder is that each picture is marked, as log odds; shape (n,)."""
    small = _small(pictures)
    parts = [finder(_as_input(small[i : i + 256]).to(device))[:, 0].cpu() for i in range(0, len(small), 256)]
    return torch.cat(parts).numpy().astype(np.float64)


def planted(clean: Sequence[Pixels], rng: np.random.Generator) -> list[Pixels]:
    """The pictures with a mark of each painted family that they can carry, RGB."""
    families = [make_family(name, {}) for name in PAINTED]
    out = []
    for picture in clean:
        opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
        fitting = [family for family in families if not family.obstacle(opaque)]
        out += [family.plant(opaque, int(rng.integers(2**63)), rng)[..., :3] for family in fitting]
    return out


def _small(pictures: Sequence[Pixels]) -> Pixels:
    """Shape (n, 64, 64, 3)."""
    size = (_SIDE, _SIDE)
    return np.stack([np.asarray(Image.fromarray(p).resize(size, Image.Resampling.BOX)) for p in pictures])


def _as_input(pictures: Pixels) -> Tensor:
    """Pictures in [-1, 1] with their fine detail beside them, shape (n, 6, 64, 64)."""
    scaled = torch.from_numpy(pictures.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    smooth = nn.functional.avg_pool2d(scaled, 3, 1, 1, count_include_pad=False)
    return torch.cat([scaled, _SHARP * (scaled - smooth)], 1)


def _network() -> nn.Module:
    widths = (6, 16, 32, 48)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(widths[-1] * 4, 1))
