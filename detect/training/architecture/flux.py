"""FLUX.1: a transformer over packed latents and T5 states, trained by flow matching.

A model that was distilled to take its guidance as a number (FLUX.1-dev) is trained at guidance 1, as LoRA trainers
do: what it learns is then the plain conditional answer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture.architecture import Embedded
from detect.training.architecture.flow_matching import FlowMatching


class Flux(FlowMatching):
    """The transformer of `FluxPipeline`; its T5 stays frozen."""

    pipeline_class = "FluxPipeline"
    denoiser_name = "transformer"
    text_encoder_names = ("text_encoder",)
    attention = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")
    blocks = ("transformer_blocks.", "single_transformer_blocks.")

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether both text encoders are there, and the transformer takes latents and nothing else."""
        packed = 4 * pipeline.vae.config.latent_channels
        return None not in (pipeline.text_encoder, pipeline.text_encoder_2) and (
            bool(pipeline.transformer.config.in_channels == packed)
        )

    @property
    def grid(self) -> int:
        """Four latents are one token."""
        return 2 * int(self.pipeline.vae_scale_factor)

    def embed(self, captions: list[str]) -> Embedded:
        """T5 states, float (n, tokens, width), and CLIP's pooled ones, float (n, width)."""
        with silenced_libraries():  # they warn about captions that are cut
            states, pooled, _ = self.pipeline.encode_prompt(prompt=captions, prompt_2=None)
        return states, pooled

    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The transformer's answer, unpacked."""
        states, pooled = embedded
        count, channels, height, width = noisy.shape
        places = self.pipeline._prepare_latent_image_ids(count, height // 2, width // 2, noisy.device, states.dtype)
        guided = self.denoiser.config.guidance_embeds
        with silenced_libraries():  # norms warn that they are not fused in half precision
            answer = self.denoiser(
                hidden_states=self.pipeline._pack_latents(noisy, count, channels, height, width),
                timestep=times / self.scheduler.config.num_train_timesteps,
                guidance=torch.ones(count, device=noisy.device) if guided else None,
                encoder_hidden_states=states,
                pooled_projections=pooled,
                img_ids=places,
                txt_ids=torch.zeros(states.shape[1], 3, device=states.device, dtype=states.dtype),
            ).sample
        scale = int(self.pipeline.vae_scale_factor)
        unpacked: Tensor = self.pipeline._unpack_latents(answer, height * scale, width * scale, scale)
        return unpacked
