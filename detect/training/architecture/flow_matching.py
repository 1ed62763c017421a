"""Models that are trained by flow matching: the straight way from a picture to noise.

Times are drawn as in "Scaling Rectified Flow Transformers" (Esser et al., arXiv 2403.03206, §3.1): logit-normal,
then shifted as the model's scheduler says.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from detect.training.architecture.architecture import Architecture
from protect.errors import InputError


class FlowMatching(Architecture):
    """Times are the scheduler's own: a thousand times the share of noise."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        flow: Any = FlowMatchEulerDiscreteScheduler  # untyped
        self.scheduler = flow.from_config(pipeline.scheduler.config)

    def draw_times(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Logit-normal, shifted towards noise: by a fixed factor, or by one that grows with the picture."""
        place, steps = torch.randn(len(latents), generator=generator).sigmoid(), int(self._steps)
        if self.scheduler.config.use_dynamic_shifting:
            factor = math.exp(self._mu(latents))
            return (steps * factor * place / (1 + (factor - 1) * place)).to(latents.device)
        index = (place * steps).long().clamp(max=steps - 1)
        times: Tensor = self.scheduler.timesteps[index].to(latents.device)
        return times

    @property
    def _steps(self) -> float:
        """The time of pure noise."""
        return float(self.scheduler.config.num_train_timesteps)

    def _mu(self, latents: Tensor) -> float:
        """Logarithm of the shift for pictures of this size: a line through two sizes, as pipelines sample."""
        config = self.scheduler.config
        tokens = latents.shape[2] * latents.shape[3] / 4
        few, many = config.base_image_seq_len, config.max_image_seq_len
        rise = (config.max_shift - config.base_shift) / (many - few)
        return float(config.base_shift + rise * (tokens - few))

    def time_at(self, share: float) -> float:
        """The share of noise itself, whatever the shift."""
        return share * self._steps

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """The target is the straight way from the picture to noise."""
        share = (times / self._steps)[:, None, None, None]
        return (1 - share) * latents + share * noise, noise - latents

    def loss_weights(self, times: Tensor, gamma: float) -> Tensor:
        """There are none: the paper weights DDPM losses."""
        raise InputError(
            f"min-SNR weights do not apply to {self.pipeline_class}, which is trained by flow matching",
            "Leave out --min-snr; its times are drawn logit-normally instead.",
        )
