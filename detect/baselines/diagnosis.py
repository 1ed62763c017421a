"""DIAGNOSIS's rule (ICLR 2024, arXiv 2307.03108): a trained classifier calls more than 75 % of 50 outputs coated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import ResNetConfig, ResNetForImageClassification

from detect.baselines.rule import BaselineVerdict
from protect.errors import InputError
from protect.marks.family import Pixels

OUTPUTS, SHARE = 50, 0.75
"""As in the paper."""
_BATCH = 32


@dataclass(frozen=True, slots=True)
class SignalClassifier:
    """Tells coated pictures from others."""

    network: Any

    def coated(self, pictures: Pixels) -> NDArray[np.bool_]:
        """Which pictures it calls coated; RGB (n, H, W, 3) to (n,)."""
        self.network.eval()
        with torch.no_grad():
            logits = [self.network(_tensor(pictures[i : i + _BATCH])).logits for i in range(0, len(pictures), _BATCH)]
        return np.asarray(torch.cat(logits).argmax(dim=1).numpy() == 1)


def train_signal_classifier(
    coated: Pixels, clean: Pixels, *, epochs: int = 20, learning_rate: float = 1e-3, seed: int = 0
) -> SignalClassifier:
    """A ResNet-18 on coated and original pictures with random crops and flips.

    The paper starts from ImageNet weights (SGD at 1e-4, 80 epochs, 224 px). None are shipped here: this one starts
    from random weights, with AdamW and few epochs, at the pictures' own size.

    Args:
        coated: RGB, shape (n, H, W, 3).
        clean: RGB, shape (m, H, W, 3), same size.
        epochs: passes over both.
        learning_rate: of AdamW.
        seed: of weights, order and crops.

    Raises:
        InputError: if either is empty.
    """
    if not len(coated) or not len(clean):
        raise InputError("a classifier without pictures of both kinds", "Give coated and original pictures.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = ResNetConfig(
            embedding_size=32,
            hidden_sizes=[32, 64, 128, 256],
            depths=[2, 2, 2, 2],
            layer_type="basic",
            id2label={0: "clean", 1: "coated"},
        )
        network = ResNetForImageClassification(config)
    pictures = _tensor(np.concatenate([coated, clean]))
    labels = torch.tensor([1] * len(coated) + [0] * len(clean))
    optimizer = torch.optim.AdamW(network.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    network.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels), generator=generator)
        for start in range(0, len(order), _BATCH):
            index = order[start : start + _BATCH]
            loss = network(_augmented(pictures[index], generator), labels=labels[index]).loss
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
    return SignalClassifier(network)


def diagnosis(classifier: SignalClassifier, outputs: Pixels) -> BaselineVerdict:
    """Accused if more than 75 % of the outputs (the paper takes 50) are called coated."""
    share = float(classifier.coated(outputs).mean())
    return BaselineVerdict(
        "diagnosis",
        share > SHARE,
        share,
        SHARE,
        "0.75 was picked by hand: how often an innocent exceeds it hangs on what the classifier makes of its style",
    )


def _tensor(pictures: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _augmented(batch: Tensor, generator: torch.Generator) -> Tensor:
    """One random crop (three quarters of the area or more) and flip for the batch, scaled back."""
    side = batch.shape[2]
    crop = int(torch.randint(int(0.87 * side), side + 1, (1,), generator=generator))
    y, x = (int(torch.randint(0, side - crop + 1, (1,), generator=generator)) for _ in range(2))
    batch = batch[:, :, y : y + crop, x : x + crop]
    if torch.rand(1, generator=generator) < 0.5:
        batch = batch.flip(3)
    return torch.nn.functional.interpolate(batch, size=(side, side), mode="bilinear", align_corners=False)
