"""One training run in memory: the model, what it learns from, and one step after another.

Every random number of a step is derived from (seed, step), so a run may stop after any step and go on from there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from peft import LoraConfig
from peft.helpers import disable_input_dtype_casting
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from detect.suspects.images.lora import STANDARD_NAME
from detect.suspects.images.pipeline import load_pipeline, native_size
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line
from detect.training.options import FinetuneOptions
from detect.training.samples import Latents, Texts, sample_order
from protect.errors import InputError
from protect.formats.record import Record

DROPOUT = 0.1
"""Share of captions replaced by the empty one, which teaches the unconditional half of guidance."""
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


class Trainer:
    """Model, data and optimizer of one run."""

    def __init__(self, base: Path, samples: Sequence[Record], options: FinetuneOptions, device: str) -> None:
        self.options, self.device = options, device
        self.pipeline = _load(base, device)
        size = options.size or native_size(self.pipeline)
        if size is None:
            raise InputError(f"{base} does not say how large its pictures are", "Give a size in pixels.")
        if size % (scale := int(self.pipeline.vae_scale_factor)):
            raise InputError(f"size {size} is not a multiple of {scale}", "Give a multiple of it in pixels.")
        self.latents = Latents(self.pipeline.vae, samples, size, device)
        self.captions = [record.caption for record in self.latents.records]
        ddpm: Any = DDPMScheduler  # untyped
        self.scheduler = ddpm.from_config(self.pipeline.scheduler.config)
        self.unet = self.pipeline.unet
        self.autocast = _precision(self.pipeline, options.precision, device)
        self.parameters = _trainable(self.pipeline, options)
        self.texts = Texts(self.pipeline, self.captions, frozen=not options.text_encoder)
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
        """Mean squared error of the scheduler's own target on this step's batch."""
        index, captions, generator = self._draw(step)
        shape = (len(index), *self._latent_shape())
        noises = torch.randn(2, *shape, generator=generator).to(self.device)
        last = self.scheduler.config.num_train_timesteps
        times = torch.randint(0, last, (len(index),), generator=generator).to(self.device)
        latents = self.latents(index, noises[0])
        noisy = self.scheduler.add_noise(latents, noises[1], times)
        # Adapters would cast every input to float32, and autocast back again.
        with self.autocast(), disable_input_dtype_casting(self.unet):
            predicted = self.unet(noisy, times, self.texts(captions)).sample
        target = prediction_target(self.scheduler, latents, noises[1], times)
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
        side = self.latents.size // int(self.pipeline.vae_scale_factor)
        return int(self.unet.config.in_channels), side, side

    def weights(self) -> list[Tensor]:
        """The trained tensors, on the CPU."""
        return [parameter.detach().cpu() for parameter in self.parameters]

    def save(self, folder: Path) -> None:
        """Write the LoRA in diffusers' standard form, or the whole pipeline in float32."""
        if self.options.method == "full":
            self.pipeline.save_pretrained(folder, safe_serialization=True)
            return
        layers = {"unet_lora_layers": get_peft_model_state_dict(self.unet)}
        if self.options.text_encoder:
            layers["text_encoder_lora_layers"] = get_peft_model_state_dict(self.pipeline.text_encoder)
        self.pipeline.save_lora_weights(folder, weight_name=STANDARD_NAME, safe_serialization=True, **layers)


def learning_rate_factor(step: int, steps: int) -> float:
    """Share of the peak rate: a short linear warm-up, a plateau, a cosine to 0 over the last quarter.

    >>> [round(learning_rate_factor(step, 400), 2) for step in (0, 19, 200, 350, 399)]
    [0.05, 1.0, 1.0, 0.5, 0.0]
    """
    warm_up = max(1, min(100, steps // 20))
    left = (steps - step) / max(1.0, steps / 4)
    return min(1.0, (step + 1) / warm_up) * (0.5 - 0.5 * math.cos(math.pi * min(1.0, left)))


def _load(base: Path, device: str) -> Any:
    """The base in float32 on `device`, frozen; only plain Stable Diffusion pipelines can be trained."""
    pipeline = load_pipeline(base)
    if (
        type(pipeline).__name__ != "StableDiffusionPipeline"
        or pipeline.unet.config.in_channels != pipeline.vae.config.latent_channels
    ):
        raise InputError(
            f"{base} is a {type(pipeline).__name__}, and only StableDiffusionPipeline can be fine-tuned here",
            "Train it with its own script and give the result as a suspect.",
        )
    try:
        pipeline.to(device)
    except Exception as error:
        raise InputError(f"device {device!r} cannot be used ({first_line(error)})", "Use --device cpu.") from error
    for module in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        module.requires_grad_(False).eval()
    return pipeline


def _precision(pipeline: Any, precision: str, device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The autocast context of the forward pass; prepares the networks where CPUs need it."""
    kind = torch.device(device).type
    tiles: Callable[[], bool] = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    if precision == "fp32" or (precision == "auto" and kind != "cuda" and not (kind == "cpu" and tiles())):
        return nullcontext
    if kind == "cpu":
        pipeline.unet.to(memory_format=torch.channels_last)
        # The fused attention kernels' bf16 backward pass is slow on CPUs.
        pipeline.unet.set_attn_processor(AttnProcessor())
        pipeline.text_encoder.set_attn_implementation("eager")
    return lambda: torch.autocast(kind, dtype=torch.bfloat16)


def _trainable(pipeline: Any, options: FinetuneOptions) -> list[torch.nn.Parameter]:
    """Add the LoRA, or thaw the weights; the parameters to train, in a fixed order."""
    modules = [pipeline.unet] + [pipeline.text_encoder] * options.text_encoder
    if options.method == "full":
        for module in modules:
            module.requires_grad_(True)
    else:
        # peft draws initial values from torch's global generator: lend it one, and give the caller's back
        with torch.random.fork_rng(devices=[]), silenced_libraries():
            torch.manual_seed(options.seed)
            for module, targets in zip(modules, (_unet_targets(pipeline.unet, options), TEXT_ATTENTION), strict=False):
                config = LoraConfig(r=options.rank, lora_alpha=options.rank, target_modules=list(targets))
                module.add_adapter(config)
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def _unet_targets(unet: Any, options: FinetuneOptions) -> Iterator[str]:
    """Names of the UNet's layers that the LoRA covers."""
    for name, module in unet.named_modules():
        wanted = options.targets == "all" or name.endswith(ATTENTION)
        blocks = name.startswith(("down_blocks.", "mid_block.", "up_blocks."))
        if wanted and blocks and isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            yield name


def prediction_target(scheduler: Any, latents: Tensor, noise: Tensor, times: Tensor) -> Tensor:
    """What the network should predict under the scheduler's prediction type, shape of `latents`."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "sample":
        return latents
    if kind == "v_prediction":
        velocity: Tensor = scheduler.get_velocity(latents, noise, times)
        return velocity
    raise InputError(f"prediction type {kind!r} cannot be trained", "Use epsilon, v_prediction or sample.")
