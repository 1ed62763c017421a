"""Models that are trained as DDPMs: a thousand times, and noise, velocity or the picture to predict."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from detect.training.architecture.architecture import Architecture, Embedded
from protect.errors import InputError


class Ddpm(Architecture):
    """Noise schedule, target and loss weights follow the pipeline's scheduler."""

    def __init__(self, pipeline: Any) -> None:
        super().__init__(pipeline)
        ddpm: Any = DDPMScheduler  # untyped
        self.scheduler = ddpm.from_config(pipeline.scheduler.config)

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether the UNet takes latents and nothing else."""
        return bool(pipeline.unet.config.in_channels == pipeline.vae.config.latent_channels)

    def draw_times(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """Uniform."""
        last = self.scheduler.config.num_train_timesteps
        return torch.randint(0, last, (len(latents),), generator=generator).to(latents.device)

    def time_at(self, share: float) -> float:
        """A share of the thousand times."""
        return float(round(share * int(self.scheduler.config.num_train_timesteps)))

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """The target is the one that the scheduler names."""
        times = times.long()
        return self.scheduler.add_noise(latents, noise, times), prediction_target(self.scheduler, latents, noise, times)

    def loss_weights(self, times: Tensor, gamma: float) -> Tensor:
        """min(SNR, gamma) for a predicted picture, divided by SNR for noise and by SNR + 1 for velocity (§3.3)."""
        kept: Tensor = self.scheduler.alphas_cumprod.to(times.device)[times]
        capped = (kept / (1 - kept)).clamp(max=gamma)
        kind = self.scheduler.config.prediction_type
        if kind == "epsilon":
            return torch.where(kept > 0, capped * (1 - kept) / kept, 1.0)  # 1 is the limit where all is noise
        return capped * (1 - kept) if kind == "v_prediction" else capped

    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The UNet's answer."""
        more = self.conditions(noisy, embedded)
        answer: Tensor = self.denoiser(noisy, times, encoder_hidden_states=embedded[0], **more).sample
        return answer

    def conditions(self, noisy: Tensor, embedded: Embedded) -> dict[str, Any]:
        """What else the UNet takes, by name."""
        return {}


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
