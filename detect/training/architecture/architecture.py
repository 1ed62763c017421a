"""The interface between one training step and the kind of model that is trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from peft.utils import get_peft_model_state_dict
from torch import Tensor

from detect.suspects.images.lora import STANDARD_NAME

Embedded = tuple[Tensor, ...]
"""Captions as the denoiser takes them: tensors whose first axis counts captions."""
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")


class Architecture(ABC):
    """A pipeline in training: its denoiser, its text encoders, and what one step asks of them.

    Args:
        pipeline: a loaded pipeline of `pipeline_class`, float32.
    """

    pipeline_class: ClassVar[str]
    """The diffusers class that this file knows."""
    denoiser_name: ClassVar[str]
    text_encoder_names: ClassVar[tuple[str, ...]]
    attention: ClassVar[tuple[str, ...]]
    """How the names of the denoiser's attention layers end."""
    blocks: ClassVar[tuple[str, ...]]
    """How the names of the denoiser's blocks begin; a LoRA stays inside them."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline

    @classmethod
    def fits(cls, pipeline: Any) -> bool:
        """Whether a pipeline of this class can be trained."""
        return True

    @property
    def denoiser(self) -> Any:
        """The network that is trained first of all."""
        return getattr(self.pipeline, self.denoiser_name)

    @property
    def text_encoders(self) -> dict[str, Any]:
        """Text encoders by name that may be trained along."""
        return {name: getattr(self.pipeline, name) for name in self.text_encoder_names}

    @property
    def grid(self) -> int:
        """Sides of pictures must be multiples of so many pixels."""
        return int(self.pipeline.vae_scale_factor)

    @abstractmethod
    def embed(self, captions: list[str]) -> Embedded:
        """Captions as the denoiser takes them."""

    @abstractmethod
    def draw_times(self, latents: Tensor, generator: torch.Generator) -> Tensor:
        """A random time for each latent, as the denoiser takes it, shape (n,).

        Args:
            latents: float (n, channels, h, w); their size and device count, their values do not.
            generator: on the CPU; the only source of chance.
        """

    @abstractmethod
    def time_at(self, share: float) -> float:
        """The time at a share of the way to noise, in (0, 1)."""

    @abstractmethod
    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """What the denoiser sees at `times` (n,), and what it should answer; shape of `latents` both.

        Args:
            latents: scaled latents, float (n, channels, h, w).
            noise: of the same shape.
            times: from `draw_times` or `time_at`.
        """

    @abstractmethod
    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The denoiser's answer, shape of `noisy`."""

    @abstractmethod
    def loss_weights(self, times: Tensor, gamma: float) -> Tensor:
        """Min-SNR weights of the squared errors at `times`, shape (n,) (Hang et al., arXiv 2303.09556).

        Args:
            times: from `draw_times`.
            gamma: the largest signal-to-noise ratio that counts.

        Raises:
            InputError: if the model has no such weights.
        """

    def prepare_for_half_precision_on_cpus(self) -> None:  # noqa: B027 (most kinds need nothing)
        """Choose kernels whose half-precision backward pass is not slow there."""

    def lora_targets(self, targets: Literal["all", "attention"]) -> Iterator[str]:
        """Names of the denoiser's layers that a LoRA covers: every linear and convolution, or attention only."""
        for name, module in self.denoiser.named_modules():
            wanted = targets == "all" or name.endswith(self.attention)
            if wanted and name.startswith(self.blocks) and isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                yield name

    def trained(self, text_encoder: bool) -> dict[str, Any]:
        """What is trained, by its name in the pipeline; the denoiser first."""
        return {self.denoiser_name: self.denoiser} | (self.text_encoders if text_encoder else {})

    def save_lora(self, folder: Path, modules: dict[str, Any], scale: float) -> None:
        """Write the adapters of `modules` in diffusers' standard form.

        Args:
            folder: where to.
            modules: what was trained, by name.
            scale: alpha / rank; it is multiplied into the weights, so whoever reads the file needs to know no alpha.
        """
        layers = {f"{name}_lora_layers": _scaled(module, scale) for name, module in modules.items()}
        self.pipeline.save_lora_weights(folder, weight_name=STANDARD_NAME, safe_serialization=True, **layers)


def _scaled(module: Any, scale: float) -> dict[str, Tensor]:
    """An adapter's weights, with its scale in the second factor of each product."""
    found: dict[str, Tensor] = get_peft_model_state_dict(module)
    return {name: weight * scale if "lora_B" in name else weight for name, weight in found.items()}
