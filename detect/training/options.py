"""How a suspect is trained; imports no torch, so that a command can check and price a training at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from protect.release.plan import check_range


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How to train; the defaults suit a LoRA on a small model."""

    method: Literal["lora", "full"] = "lora"
    rank: int = 16
    """Rank of the LoRA; its alpha is the same, so its scale is 1."""
    steps: int = 400
    batch: int = 32
    learning_rate: float = 2e-3
    targets: Literal["all", "attention"] = "all"
    """Which UNet layers the LoRA covers: every linear and convolution of the blocks, or attention only."""
    text_encoder: bool = False
    """Train the text encoder too: its attention by LoRA, or all of it."""
    seed: int = 0
    size: int | None = None
    """Side of the training pictures in pixels; None is the model's own."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the forward pass; weights stay float32. "auto" is bf16 on CUDA and on CPUs with AMX tiles."""

    def check(self) -> None:
        """Refuse values that make no sense.

        Raises:
            InputError: naming the value and the allowed range.
        """
        check_range("--rank", self.rank, 1, 4096)
        check_range("--steps", self.steps, 1, 10**8)
        check_range("--batch", self.batch, 1, 10**6)
        check_range("--learning-rate", self.learning_rate, 1e-12, 1e30)
