"""Attacks on the trained model."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attacks.stages.attack import AidedAttack, Means, ModelAttack
from detect.suspects.images import is_pipeline
from detect.suspects.images.lora import apply_lora, find_lora, read_lora
from detect.suspects.images.pipeline import load_pipeline
from detect.suspects.images.silence import quiet
from detect.training.finetune import finetune
from detect.training.rehearse import captioned_files

_Strike = Callable[[Path, float, int, Path], None]


def whole_pipeline(model: Path, base: Path, target: Path) -> Path:
    """A suspect as a diffusers folder of its own: a LoRA is melted into its base."""
    if is_pipeline(model) or target.exists():
        return model if is_pipeline(model) else target
    _save(tuned_pipeline(model, base), target)
    return target


def tuned_pipeline(model: Path, base: Path) -> Any:
    """A suspect as a float32 pipeline in memory."""
    if is_pipeline(model):
        return load_pipeline(model)
    lora = find_lora(model)
    assert lora is not None
    pipeline = load_pipeline(base)
    apply_lora(pipeline, lora, read_lora(lora, False))
    return pipeline


def _save(pipeline: Any, target: Path) -> None:
    """Appears under its name only when whole."""
    partial = target.with_name(target.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    with quiet():
        pipeline.save_pretrained(partial, safe_serialization=True)
    partial.rename(target)


def _on_weights(change: Callable[[Tensor, float, torch.Generator], Tensor]) -> _Strike:
    """A change of single weight arrays as an attack on UNet and text encoder; vectors (biases, norms) stay."""

    @torch.no_grad()
    def apply(model: Path, strength: float, seed: int, target: Path) -> None:
        pipeline, generator = load_pipeline(model), torch.Generator().manual_seed(seed)
        for module in (pipeline.unet, pipeline.text_encoder):
            for weight in module.parameters():
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


def _towards_base(means: Means) -> _Strike:
    @torch.no_grad()
    def apply(model: Path, strength: float, seed: int, target: Path) -> None:
        """Mixed with the base, weight by weight, as merging or a smaller LoRA scale does; down to a tenth."""
        pipeline, base = load_pipeline(model), load_pipeline(means.base)
        for tuned, first in ((pipeline.unet, base.unet), (pipeline.text_encoder, base.text_encoder)):
            for weight, before in zip(tuned.parameters(), first.parameters(), strict=True):
                weight.lerp_(before, 0.9 * strength)
        _save(pipeline, target)

    return apply


def _with_other(means: Means) -> _Strike:
    def apply(model: Path, strength: float, seed: int, target: Path) -> None:
        """Another fine-tune of the base, on clean pictures, is laid over it, as LoRAs are stacked; in whole at most."""
        pipeline = load_pipeline(model)
        if strength > 0:
            folder = target.with_name(f"other-{seed}")  # the same at every strength
            if not folder.exists():
                tuning = replace(means.tuning, seed=seed + 1)
                finetune(means.base, captioned_files(means.clean), folder, tuning, device=means.device)
            base, other = load_pipeline(means.base), tuned_pipeline(folder, means.base)
            with torch.no_grad():
                for part in ("unet", "text_encoder"):
                    places = (getattr(p, part).parameters() for p in (pipeline, base, other))
                    for weight, before, after in zip(*places, strict=True):
                        weight.add_(strength * (after - before))
        _save(pipeline, target)

    return apply


def _continued(means: Means) -> _Strike:
    def apply(model: Path, strength: float, seed: int, target: Path) -> None:
        """Trained on with clean pictures, as before, for up to as many steps."""
        steps = round(means.tuning.steps * strength)
        if steps == 0:
            _save(load_pipeline(model), target)
            return
        samples: Sequence[tuple[Path, str]] = captioned_files(means.clean)
        tuning = replace(means.tuning, steps=steps, seed=seed)
        if tuning.method == "full":
            finetune(model, samples, target, tuning, device=means.device)
            return
        lora = finetune(model, samples, target.with_name(target.name + ".lora"), tuning, device=means.device)
        whole_pipeline(lora, model, target)

    return apply


ATTACKS = (
    AidedAttack("merge-base", "mixed with the base (or a smaller LoRA scale), down to a tenth", _towards_base, "model"),
    AidedAttack("merge-other", "another fine-tune, on clean pictures, laid over it", _with_other, "model"),
    AidedAttack("continue", "trained on with clean pictures, for up to as many steps again", _continued, "model"),
    ModelAttack("prune", "the smallest weights are set to 0, up to half", _on_weights(prune)),
    ModelAttack("quantise-weights", "weights of 8 down to 3 bits", _on_weights(quantise)),
    ModelAttack("weight-noise", "noise of up to a fifth of the weights' deviation", _on_weights(add_noise)),
)
