"""Training small classifiers: the paper's shadow, and the references of our panel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from detect.provenance.sets import LabelledSet
from detect.suspects.classifiers.folder import FolderClassifier
from detect.suspects.images.silence import silenced_libraries
from detect.trial.answers import digest, pixel_hashes
from protect.errors import InputError
from protect.files import new_folder
from protect.progress import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a classifier is trained: AdamW, cosine schedule, cross entropy, pictures mirrored at random.

    The paper's own: ResNet-18, 100 epochs, batches of 512, learning rate 1e-4, weight decay 0.9, side 32.
    """

    architecture: str = "resnet18"
    epochs: int = 30
    batch: int = 128
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    side: int = 32
    seed: int = 0

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed range.
        """
        if self.architecture not in ARCHITECTURES:
            raise InputError(f"unknown architecture {self.architecture!r}", f"Allowed: {', '.join(ARCHITECTURES)}.")
        for name, value, low, high in (
            ("epochs", self.epochs, 1, 10_000),
            ("batch", self.batch, 2, 65_536),
            ("side", self.side, 16, 1024),
            ("learning rate", self.learning_rate, 1e-8, 10),
            ("weight decay", self.weight_decay, 0, 10),
        ):
            if not low <= value <= high:
                raise InputError(f"{name} {value} is out of range", f"Allowed: {low:g} to {high:g}.")


def _resnet(sizes: Sequence[int], depths: Sequence[int]) -> Callable[[int, int], Any]:
    def make(classes: int, side: int) -> Any:
        from transformers import ResNetConfig, ResNetForImageClassification

        given: dict[str, Any] = {"hidden_sizes": list(sizes), "depths": list(depths), "num_labels": classes}
        return ResNetForImageClassification(ResNetConfig(embedding_size=sizes[0], layer_type="basic", **given))

    return make


def _convnext(classes: int, side: int) -> Any:
    from transformers import ConvNextConfig, ConvNextForImageClassification

    given: dict[str, Any] = {"hidden_sizes": [24, 48, 96, 192], "depths": [1, 1, 2, 1], "num_labels": classes}
    return ConvNextForImageClassification(ConvNextConfig(patch_size=2, **given))


def _vit(classes: int, side: int) -> Any:
    from transformers import ViTConfig, ViTForImageClassification

    given: dict[str, Any] = {"image_size": side, "patch_size": side // 8, "num_labels": classes}
    return ViTForImageClassification(
        ViTConfig(hidden_size=96, num_hidden_layers=4, num_attention_heads=4, intermediate_size=192, **given)
    )


ARCHITECTURES: dict[str, Callable[[int, int], Any]] = {
    "resnet18": _resnet((64, 128, 256, 512), (2, 2, 2, 2)),
    "resnet-mini": _resnet((16, 32, 64, 128), (1, 1, 1, 1)),
    "convnext-mini": _convnext,
    "vit-mini": _vit,
}
"""By name: random weights for a number of classes and a side."""


def train_classifier(
    pictures: LabelledSet,
    classes: Sequence[str],
    recipe: Recipe,
    folder: Path,
    *,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> FolderClassifier:
    """Train a classifier once; the same pictures and recipe give the same folder.

    Args:
        pictures: what it learns from.
        classes: their names.
        recipe: how.
        folder: where trained classifiers are kept, each under a name of its own.
        device: where to train.
        progress: called with (stage, done, total).
    """
    recipe.check()
    name = digest([list(pixel_hashes(pictures.pictures)), pictures.truth.tolist(), list(classes), asdict(recipe)])
    target = folder / name
    if not (target / "model.safetensors").exists():
        model = _fit(pictures, len(classes), recipe, device, progress)
        _save(model, classes, recipe, target)
    return FolderClassifier(target, device)


def _fit(pictures: LabelledSet, classes: int, recipe: Recipe, device: str, progress: Progress) -> Any:
    with torch.random.fork_rng(devices=[]):  # transformers draws first weights from the global generator
        torch.manual_seed(recipe.seed)
        model = ARCHITECTURES[recipe.architecture](classes, recipe.side).to(device).train()
    inputs, truth = _tensor(pictures.pictures, recipe.side).to(device), torch.from_numpy(pictures.truth).to(device)
    order = np.random.default_rng(recipe.seed)
    batch = min(recipe.batch, len(truth))
    steps = recipe.epochs * (len(truth) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    done = 0
    for _ in range(recipe.epochs):
        for rows in _batches(order.permutation(len(truth)), batch):
            mirrored = torch.from_numpy(order.random(len(rows)) < 0.5).to(device)
            x = inputs[rows]
            x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
            loss = functional.cross_entropy(model(pixel_values=x).logits, truth[rows])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            done += 1
        progress(f"training {recipe.architecture}", done, steps)
    return model.eval()


def _batches(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Whole batches: a last one of a single picture would stop batch normalisation."""
    return [order[start : start + size] for start in range(0, len(order) - size + 1, size)]


def _tensor(pictures: NDArray[np.uint8], side: int) -> torch.Tensor:
    from detect.suspects.classifiers.preprocessing import Preprocessing

    return Preprocessing(side, "half").tensor(pictures)


def _save(model: Any, classes: Sequence[str], recipe: Recipe, target: Path) -> None:
    """Save what transformers loads again, preprocessing too; appears under its name only when whole."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    model.config.id2label = dict(enumerate(classes))
    model.config.label2id = {name: i for i, name in enumerate(classes)}
    half = [0.5] * 3
    size = {"height": recipe.side, "width": recipe.side}
    with new_folder(target) as partial, silenced_libraries():
        model.save_pretrained(partial)
        ViTImageProcessorPil(size=size, resample=2, image_mean=half, image_std=half).save_pretrained(partial)
