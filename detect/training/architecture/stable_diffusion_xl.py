"""Stable Diffusion XL: a UNet with cross-attention to two CLIP text encoders, told the picture's size and crop."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture.architecture import Embedded
from detect.training.architecture.stable_diffusion import StableDiffusion


class StableDiffusionXL(StableDiffusion):
    """The UNet of `StableDiffusionXLPipeline`.

    Every picture is presented as one that was never larger and never cropped, which is what the pipeline asks for
    when it is called.
    """

    pipeline_class = "StableDiffusionXLPipeline"
    text_encoder_names = ("text_encoder", "text_encoder_2")

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether the UNet takes latents and nothing else, and both text encoders are there."""
        return None not in (pipeline.text_encoder, pipeline.text_encoder_2) and super().fits(pipeline)

    def embed(self, captions: list[str]) -> Embedded:
        """Hidden states of both encoders side by side, float (n, tokens, width), and pooled ones, float (n, width)."""
        with silenced_libraries():  # they warn about captions that are cut
            states, _, pooled, _ = self.pipeline.encode_prompt(prompt=captions, do_classifier_free_guidance=False)
        return states, pooled

    def conditions(self, noisy: Tensor, embedded: Embedded) -> dict[str, Any]:
        """Pooled states, and the places: size of the original, upper left corner of the crop, size drawn."""
        scale = int(self.pipeline.vae_scale_factor)
        height, width = (scale * side for side in noisy.shape[2:])
        places = torch.tensor([height, width, 0, 0, height, width], device=noisy.device)
        return {"added_cond_kwargs": {"text_embeds": embedded[1], "time_ids": places.repeat(len(noisy), 1)}}
