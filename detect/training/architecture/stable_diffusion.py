"""Stable Diffusion 1 and 2: a UNet with cross-attention to one CLIP text encoder."""

from __future__ import annotations

from typing import ClassVar

import torch
from diffusers.models.attention_processor import AttnProcessor

from detect.training.architecture.architecture import Embedded
from detect.training.architecture.ddpm import Ddpm


class StableDiffusion(Ddpm):
    """The UNet of `StableDiffusionPipeline`; its inpainting relatives have other inputs and do not fit."""

    pipeline_class = "StableDiffusionPipeline"
    denoiser_name = "unet"
    text_encoder_names: ClassVar[tuple[str, ...]] = ("text_encoder",)
    attention = ("to_q", "to_k", "to_v", "to_out.0")
    blocks = ("down_blocks.", "mid_block.", "up_blocks.")

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

    def prepare_for_half_precision_on_cpus(self) -> None:
        """Plain attention instead of the fused kernels, whose backward pass is slow."""
        self.denoiser.to(memory_format=torch.channels_last)
        self.denoiser.set_attn_processor(AttnProcessor())
        for encoder in self.text_encoders.values():
            encoder.set_attn_implementation("eager")
