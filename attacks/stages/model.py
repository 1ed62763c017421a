"""Attacks on the trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attacks.stages.attack import Resources
from detect.suspects.images import is_pipeline
from detect.suspects.images.adapters import apply_adapter, read_adapter
from detect.suspects.images.folder import load_pipeline
from detect.suspects.images.lora import find_lora
from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture import architecture_of
from detect.training.finetune import finetune
from detect.training.records import training_records
from protect.files import new_folder

_OnWeight = Callable[[Tensor, float, torch.Generator], Tensor]
_OnModel = Callable[[Path, float, int, Path], None]


def copy_pipeline(model: Path, target: Path) -> None:
    """Write a diffusers folder as it is."""
    _save(load_pipeline(model), target)


def whole_pipeline(model: Path, base: Path, target: Path) -> Path:
    """A suspect as a diffusers folder of its own: a LoRA is melted into its base.

    Args:
        model: a diffusers folder, or a folder with a LoRA.
        base: what the LoRA was trained on.
        target: where the whole is written, unless it is there already.
    """
    if is_pipeline(model):
        return model
    if not target.exists():
        _save(tuned_pipeline(model, base), target)
    return target


def tuned_pipeline(model: Path, base: Path) -> Any:
    """A suspect as a float32 pipeline in memory."""
    if is_pipeline(model):
        return load_pipeline(model)
    lora = find_lora(model)
    assert lora is not None, "a suspect that was trained here is a pipeline or a LoRA"
    pipeline = load_pipeline(base)
    apply_adapter(pipeline, read_adapter(lora))
    return pipeline


def tuned_weights(pipeline: Any, place: Path) -> Iterator[Tensor]:
    """The weights that fine-tuning can change: denoiser first, then text encoders."""
    for part in architecture_of(pipeline, place).trained(text_encoder=True).values():
        yield from part.parameters()


def _save(pipeline: Any, target: Path) -> None:
    with new_folder(target) as folder, silenced_libraries():
        pipeline.save_pretrained(folder, safe_serialization=True)


def _each_weight(change: _OnWeight) -> _OnModel:
    """A change of single weight arrays as an attack on what was tuned; vectors (biases, norms) stay."""

    @wraps(change)
    @torch.no_grad()
    def apply(model: Path, strength: float, seed: int, target: Path) -> None:
        pipeline, generator = load_pipeline(model), torch.Generator().manual_seed(seed)
        for weight in tuned_weights(pipeline, model):
            if weight.ndim > 1 and strength > 0:
                weight.copy_(change(weight, strength, generator))
        _save(pipeline, target)

    return apply


def prune(weight: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """The smallest weights of each array are set to 0; up to half of them."""
    count = int(weight.numel() * strength / 2)
    if count == 0:
        return weight
    return torch.where(weight.abs() <= weight.abs().flatten().kthvalue(count).values, 0.0, weight)


def quantise(weight: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Rounded to a grid per output channel; 8 down to 3 bits."""
    levels = 2 ** (round(8 - 5 * strength) - 1) - 1
    step = weight.flatten(1).abs().amax(1).clamp(min=1e-12).reshape(-1, *[1] * (weight.ndim - 1)) / levels
    rounded: Tensor = (weight / step).round() * step
    return rounded


def add_noise(weight: Tensor, strength: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise; up to a fifth of each array's standard deviation."""
    return weight + 0.2 * strength * weight.std() * torch.randn(weight.shape, generator=generator)


prune_model = _each_weight(prune)
quantise_model = _each_weight(quantise)
add_noise_to_model = _each_weight(add_noise)


@torch.no_grad()
def merge_base(model: Path, strength: float, seed: int, target: Path, resources: Resources) -> None:
    """Mixed with the base, weight by weight, as merging or a smaller LoRA scale does; down to a tenth."""
    pipeline, base = load_pipeline(model), load_pipeline(resources.base)
    pairs = zip(tuned_weights(pipeline, model), tuned_weights(base, resources.base), strict=True)
    for weight, before in pairs:
        weight.lerp_(before, 0.9 * strength)
    _save(pipeline, target)


def merge_other(model: Path, strength: float, seed: int, target: Path, resources: Resources) -> None:
    """Another fine-tune of the base, on clean pictures, is laid over it, as LoRAs are stacked; in whole at most."""
    pipeline = load_pipeline(model)
    if strength > 0:
        folder = target.with_name(f"other-{seed}")  # the same at every strength
        if not folder.exists():
            tuning = replace(resources.tuning, seed=seed + 1)
            finetune(resources.base, training_records(resources.clean)[0], folder, tuning, device=resources.device)
        fine_tunes = pipeline, load_pipeline(resources.base), tuned_pipeline(folder, resources.base)
        with torch.no_grad():
            for weight, before, after in zip(*(tuned_weights(p, model) for p in fine_tunes), strict=True):
                weight.add_(strength * (after - before))
    _save(pipeline, target)


def train_on(model: Path, strength: float, seed: int, target: Path, resources: Resources) -> None:
    """Trained on with clean pictures, as before, for up to as many steps."""
    steps = round(resources.tuning.steps * strength)
    if steps == 0:
        _save(load_pipeline(model), target)
        return
    samples = training_records(resources.clean)[0]
    tuning = replace(resources.tuning, steps=steps, seed=seed)
    if tuning.method == "full":
        finetune(model, samples, target, tuning, device=resources.device)
        return
    lora = target.with_name(target.name + ".lora")
    if not lora.exists():
        finetune(model, samples, lora, tuning, device=resources.device)
    whole_pipeline(lora, model, target)
