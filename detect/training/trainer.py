"""One training run in memory: the model, what it learns from, and one step after another.

Every random number of a step is derived from (seed, step), so a run may stop after any step and go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peft import LoraConfig
from peft.helpers import disable_input_dtype_casting
from torch import Tensor

from detect.suspects.images.pipeline import load_pipeline, native_size
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line
from detect.training.architecture import Architecture, architecture_of
from detect.training.architecture.architecture import TEXT_ATTENTION
from detect.training.options import FinetuneOptions
from detect.training.samples import Latents, Texts, sample_order
from protect.errors import InputError
from protect.formats.record import Record

DROPOUT = 0.1
"""Share of captions replaced by the empty one, which teaches the unconditional half of guidance."""


class Trainer:
    """Model, data and optimizer of one run."""

    def __init__(self, base: Path, samples: Sequence[Record], options: FinetuneOptions, device: str) -> None:
        self.options, self.device = options, device
        pipeline, self.architecture = _load(base, device)
        size = options.size or native_size(pipeline)
        if size is None:
            raise InputError(f"{base} does not say how large its pictures are", "Give a size in pixels.")
        if size % (grid := self.architecture.grid):
            raise InputError(f"size {size} is not a multiple of {grid}", "Give a multiple of it in pixels.")
        self.latents = Latents(pipeline.vae, samples, size, device)
        self.captions = [record.caption for record in self.latents.records]
        self.autocast = _precision(self.architecture, options.precision, device)
        self.modules = self.architecture.trained(options.text_encoder)
        self.parameters = _trainable(self.architecture, self.modules, options)
        self.texts = Texts(self.architecture, self.captions, frozen=not options.text_encoder)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=options.learning_rate, weight_decay=1e-2, fused=True)

    def step(self, step: int) -> float:
        """One update; returns its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.learning_rate * learning_rate_factor(step, self.options.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._loss(step)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise InputError(f"the loss is {value} at step {step + 1}", "Lower the learning rate and start again.")
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return value

    def _loss(self, step: int) -> Tensor:
        """Mean squared error of what the model should answer on this step's batch."""
        index, captions, generator = self._draw(step)
        noises = torch.randn(2, len(index), *self._latent_shape(), generator=generator).to(self.device)
        latents = self.latents(index, noises[0])
        noisy, times, target = self.architecture.noised(latents, noises[1], generator)
        # Adapters would cast every input to float32, and autocast back again.
        with self.autocast(), disable_input_dtype_casting(self.architecture.denoiser):
            predicted = self.architecture.predict(noisy, times, self.texts(captions))
        return torch.nn.functional.mse_loss(predicted.float(), target)

    def _draw(self, step: int) -> tuple[NDArray[np.int64], list[str], torch.Generator]:
        """Samples and captions (some emptied) of one step, and the generator for the rest of it."""
        options = self.options
        index = sample_order(len(self.captions), options.batch, step, options.seed)
        rng = np.random.default_rng([options.seed, 1, step])
        captions = [
            "" if drop else self.captions[i] for i, drop in zip(index, rng.random(len(index)) < DROPOUT, strict=True)
        ]
        return index, captions, torch.Generator().manual_seed(int(rng.integers(2**63)))

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
            self.architecture.save_lora(folder, self.modules)


def learning_rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate: a short linear warm-up, a plateau, a cosine to 0 over the last quarter.

    >>> [round(learning_rate_factor(step, 400), 2) for step in (0, 19, 200, 350, 399)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, min(100, steps // 20))
    left = (steps - step) / max(1.0, steps / 4)
    return min(1.0, (step + 1) / warm_up) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))


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


def _precision(architecture: Architecture, precision: str, device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The autocast context of the forward pass; prepares the networks where CPUs need it."""
    kind = torch.device(device).type
    tiles: Callable[[], bool] = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    if precision == "fp32" or (precision == "auto" and kind != "cuda" and not (kind == "cpu" and tiles())):
        return nullcontext
    if kind == "cpu":
        architecture.prepare_for_half_precision_on_cpus()
    return lambda: torch.autocast(kind, dtype=torch.bfloat16)


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
                module.add_adapter(LoraConfig(r=options.rank, lora_alpha=options.rank, target_modules=targets))
    return [p for module in modules.values() for p in module.parameters() if p.requires_grad]
