"""One training run in memory: the model, what it learns from, and one step after another.

Every random number of a step is derived from (seed, step), so a run may stop after any step and go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig
from peft.helpers import disable_input_dtype_casting
from torch import Tensor

from detect.suspects.images.folder import load_pipeline, native_size
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line
from detect.training.architecture import Architecture, architecture_of
from detect.training.architecture.architecture import TEXT_ATTENTION
from detect.training.options import FinetuneOptions, Precision
from detect.training.samples import Latents, Texts, sample_order
from protect.errors import InputError
from protect.formats.record import Record


@dataclass(frozen=True, slots=True)
class Lesson:
    """Some pictures of one update: what the denoiser sees, and what it should answer."""

    noisy: Tensor
    """Shape (n, channels, h, w)."""
    times: Tensor
    target: Tensor
    weights: Tensor | None
    """Of the squared errors, shape (n,); None weighs all alike."""
    captions: list[str]
    share: float
    """Of the update's pictures."""


class Trainer:
    """Model, data and optimizer of one run."""

    def __init__(self, base: Path, samples: Sequence[Record], options: FinetuneOptions, device: str) -> None:
        self.options, self.device = options, device
        pipeline, self.architecture = _load(base, device)
        size = _size(base, self.architecture, options)
        if options.min_snr is not None:
            self.architecture.loss_weights(torch.zeros(1, dtype=torch.long), options.min_snr)  # refused before all else
        self.latents = Latents(pipeline.vae, samples, size, device, mirrored=options.flip)
        self.captions = [record.caption for record in self.latents.records]
        self.autocast = _precision(self.architecture, options.precision, device)
        self.modules = self.architecture.trained(options.text_encoder)
        self.parameters = _trainable(self.architecture, self.modules, options)
        if options.checkpointing:
            _keep_no_activations(self.modules)
        self.texts = Texts(self.architecture, self.captions, frozen=not options.text_encoder)
        self.optimizer = _optimizer(self.parameters, options)
        half = options.precision == "fp16"  # its gradients underflow unless losses are scaled up
        self.scaler = torch.amp.GradScaler(torch.device(device).type, enabled=half)

    def step(self, step: int) -> float:
        """One update; returns its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * learning_rate_factor(step, self.options.steps)
        self.optimizer.zero_grad(set_to_none=True)
        value = sum(self._learn(lesson) for lesson in self.lessons(step))
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at step {step + 1}", "Lower the learning rate and start again.")
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value

    def _learn(self, lesson: Lesson) -> float:
        """Add a lesson's gradients; returns its part of the mean loss."""
        # Adapters would cast every input to float32, and autocast back again.
        with self.autocast(), disable_input_dtype_casting(self.architecture.denoiser):
            predicted = self.architecture.predict(lesson.noisy, lesson.times, self.texts(lesson.captions))
        errors = (predicted.float() - lesson.target).pow(2).mean(dim=(1, 2, 3))
        loss = (errors if lesson.weights is None else errors * lesson.weights).mean() * lesson.share
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def lessons(self, step: int) -> Iterator[Lesson]:
        """What one update learns, `batch` pictures at a time; all chance is drawn for the whole update."""
        index, captions, mirrored, generator = self._draw(step)
        noises = torch.randn(2, len(index), *self._latent_shape(), generator=generator)
        noise = noises[1]
        if self.options.noise_offset:
            noise = noise + self.options.noise_offset * torch.randn(*noise.shape[:2], 1, 1, generator=generator)
        times = self.architecture.draw_times(noise, generator).to(self.device)
        for start in range(0, len(index), self.options.batch):
            part = slice(start, start + self.options.batch)
            latents = self.latents(index[part], noises[0, part].to(self.device), mirrored[part])
            noisy, target = self.architecture.mix(latents, noise[part].to(self.device), times[part])
            gamma = self.options.min_snr
            weights = None if gamma is None else self.architecture.loss_weights(times[part], gamma)
            share = len(latents) / len(index)
            yield Lesson(noisy, times[part], target, weights, captions[part], share)

    def _draw(self, step: int) -> tuple[NDArray[np.int64], list[str], NDArray[np.bool_], torch.Generator]:
        """Samples, captions (some emptied) and mirrors of one update, and the generator for the rest of it."""
        options = self.options
        index = sample_order(len(self.captions), options.batch * options.accumulation, step, options.seed)
        rng = np.random.default_rng([options.seed, 1, step])
        emptied = rng.random(len(index)) < options.caption_dropout
        captions = ["" if empty else self.captions[i] for i, empty in zip(index, emptied, strict=True)]
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        mirrored = rng.random(len(index)) < (0.5 if options.flip else 0.0)
        return index, captions, mirrored, generator

    def _latent_shape(self) -> tuple[int, int, int]:
        pipeline = self.architecture.pipeline
        side = self.latents.size // int(pipeline.vae_scale_factor)
        return int(pipeline.vae.config.latent_channels), side, side

    def weights(self) -> list[Tensor]:
        """The trained tensors, on the CPU."""
        return [parameter.detach().cpu() for parameter in self.parameters]

    def save(self, folder: Path) -> None:
        """Write the LoRA in diffusers' standard form, or the whole pipeline in float32."""
        if self.options.method == "full":
            self.architecture.pipeline.save_pretrained(folder, safe_serialization=True)
        else:
            scale = 1.0 if self.options.alpha is None else self.options.alpha / self.options.rank
            self.architecture.save_lora(folder, self.modules, scale)


def learning_rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate: a short linear warm-up, a plateau, a cosine to 0 over the last quarter.

    >>> [round(learning_rate_factor(step, 400), 2) for step in (0, 19, 200, 350, 399)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, min(100, steps // 20))
    left = (steps - step) / max(1.0, steps / 4)
    return min(1.0, (step + 1) / warm_up) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))


def _size(base: Path, architecture: Architecture, options: FinetuneOptions) -> int:
    """Side of the training pictures in pixels."""
    size = options.size or native_size(architecture.pipeline)
    if size is None:
        raise InputError(f"{base} does not say how large its pictures are", "Give a size in pixels (--resolution).")
    if size % (grid := architecture.grid):
        raise InputError(f"size {size} is not a multiple of {grid}", "Give a multiple of it in pixels (--resolution).")
    return size


def _load(base: Path, device: str) -> tuple[Any, Architecture]:
    """The base in float32 on `device`, frozen, and how it is trained."""
    pipeline = load_pipeline(base)
    architecture = architecture_of(pipeline, base)
    try:
        pipeline.to(device)
    except Exception as error:
        raise InputError(f"device {device!r} cannot be used ({first_line(error)})", "Use --device cpu.") from error
    for module in pipeline.components.values():
        if isinstance(module, torch.nn.Module):
            module.requires_grad_(False).eval()
    return pipeline, architecture


def _precision(
    architecture: Architecture, precision: Precision, device: str
) -> Callable[[], AbstractContextManager[Any]]:
    """The autocast context of the forward pass; prepares the networks where CPUs need it."""
    kind = torch.device(device).type
    tiles: Callable[[], bool] = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    if precision == "fp32" or (precision == "auto" and kind != "cuda" and not (kind == "cpu" and tiles())):
        return nullcontext
    if kind == "cpu":
        architecture.prepare_for_half_precision_on_cpus()
    half = torch.float16 if precision == "fp16" else torch.bfloat16
    return lambda: torch.autocast(kind, dtype=half)


def _optimizer(parameters: list[torch.nn.Parameter], options: FinetuneOptions) -> torch.optim.Optimizer:
    if options.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=options.learning_rate, weight_decay=1e-2, fused=True)
    with silenced_libraries():
        import bitsandbytes
    eight_bit: Any = bitsandbytes.optim  # untyped
    made: torch.optim.Optimizer = eight_bit.AdamW8bit(parameters, lr=options.learning_rate, weight_decay=1e-2)
    return made


def _keep_no_activations(modules: dict[str, Any]) -> None:
    """Gradient checkpointing; it works in training mode only, where nothing else differs: no model here drops units."""
    for module in modules.values():
        if hasattr(module, "enable_gradient_checkpointing"):  # of diffusers
            module.enable_gradient_checkpointing()
        else:  # of transformers, which calls it by another name from version 6 on
            with silenced_libraries():
                module.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        module.train()


def _trainable(
    architecture: Architecture, modules: dict[str, Any], options: FinetuneOptions
) -> list[torch.nn.Parameter]:
    """Add the LoRA, or thaw the weights; the parameters to train, in a fixed order."""
    if options.method == "full":
        for module in modules.values():
            module.requires_grad_(True)
    else:
        # peft draws initial values from torch's global generator: lend it one, and give the caller's back
        with torch.random.fork_rng(devices=[]), silenced_libraries():
            torch.manual_seed(options.seed)
            for name, module in modules.items():
                targets = (
                    list(architecture.lora_targets(options.targets))
                    if name == architecture.denoiser_name
                    else list(TEXT_ATTENTION)
                )
                alpha: Any = options.rank if options.alpha is None else options.alpha  # a fraction will do, too
                module.add_adapter(LoraConfig(r=options.rank, lora_alpha=alpha, target_modules=targets))
    return [p for module in modules.values() for p in module.parameters() if p.requires_grad]
