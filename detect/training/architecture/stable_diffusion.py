"""Stable Diffusion 1 and 2: a UNet with cross-attention to one CLIP text encoder, trained by a DDPM's target."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor

from detect.training.architecture.architecture import Architecture, Embedded
from protect.errors import InputError


class StableDiffusion(Architecture):
    """The UNet of `StableDiffusionPipeline`; its inpainting relatives have other inputs and do not fit."""

    pipeline_class = "StableDiffusionPipeline"
    denoiser_name = "unet"
    text_encoder_names = ("text_encoder",)
    attention = ("to_q", "to_k", "to_v", "to_out.0")
    blocks = ("down_blocks.", "mid_block.", "up_blocks.")

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        ddpm: Any = DDPMScheduler  # untyped
        self.scheduler = ddpm.from_config(pipeline.scheduler.config)

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether the UNet takes latents and nothing else."""
        return bool(pipeline.unet.config.in_channels == pipeline.vae.config.latent_channels)

    def embed(self, captions: list[str]) -> Embedded:
        """Last hidden states, float (n, tokens, width)."""
        encoder, tokenizer = self.pipeline.text_encoder, self.pipeline.tokenizer
        tokens = tokenizer(
            captions,
            padding="max_length",
            truncation=True,
            max_length=tokenizer.model_max_length,
            return_tensors="pt",
        )
        mask = tokens.attention_mask if getattr(encoder.config, "use_attention_mask", False) else None
        states = encoder(
            tokens.input_ids.to(encoder.device), attention_mask=None if mask is None else mask.to(encoder.device)
        )[0]
        return (states,)

    def noised(self, latents: Tensor, noise: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Times are uniform; the target is the one that the scheduler names."""
        last = self.scheduler.config.num_train_timesteps
        times = torch.randint(0, last, (len(latents),), generator=generator).to(latents.device)
        noisy = self.scheduler.add_noise(latents, noise, times)
        return noisy, times, prediction_target(self.scheduler, latents, noise, times)

    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The UNet's answer."""
        (states,) = embedded
        answer: Tensor = self.denoiser(noisy, times, states).sample
        return answer

    def prepare_for_half_precision_on_cpus(self) -> None:
        """Plain attention instead of the fused kernels, whose bf16 backward pass is slow."""
        self.denoiser.to(memory_format=torch.channels_last)
        self.denoiser.set_attn_processor(AttnProcessor())
        self.pipeline.text_encoder.set_attn_implementation("eager")


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
