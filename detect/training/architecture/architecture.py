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
    """A pipeline in training: its denoiser, its text encoders, and the loss of one step.

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
    def noised(self, latents: Tensor, noise: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw a time for each latent; what the denoiser sees, those times, and what it should answer.

        Args:
            latents: scaled latents, float (n, channels, h, w).
            noise: standard normal, of the same shape.
            generator: on the CPU; the only source of chance here.
        """

    @abstractmethod
    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        """The denoiser's answer, shape of `noisy`."""

    @abstractmethod
    def prepare_for_half_precision_on_cpus(self) -> None:
        """Choose kernels whose bf16 backward pass is not slow there."""

    def lora_targets(self, targets: Literal["all", "attention"]) -> Iterator[str]:
        """Names of the denoiser's layers that a LoRA covers: every linear and convolution, or attention only."""
        for name, module in self.denoiser.named_modules():
            wanted = targets == "all" or name.endswith(self.attention)
            if wanted and name.startswith(self.blocks) and isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
                yield name

    def trained(self, text_encoder: bool) -> dict[str, Any]:
        """What is trained, by its name in the pipeline; the denoiser first."""
        return {self.denoiser_name: self.denoiser} | (self.text_encoders if text_encoder else {})

    def save_lora(self, folder: Path, modules: dict[str, Any]) -> None:
        """Write the adapters of `modules` in diffusers' standard form."""
        layers = {f"{name}_lora_layers": get_peft_model_state_dict(module) for name, module in modules.items()}
        self.pipeline.save_lora_weights(folder, weight_name=STANDARD_NAME, safe_serialization=True, **layers)
