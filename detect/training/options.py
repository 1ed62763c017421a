"""How a suspect is trained; imports no torch, so that a command can check and price a training at once."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from protect.errors import InputError
from protect.release.plan import check_range

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Optimizer = Literal["adamw", "adamw8bit"]


@dataclass(frozen=True, slots=True)
class FinetuneOptions:
    """How to train; the defaults suit a LoRA on a small model."""

    method: Literal["lora", "full"] = "lora"
    rank: int = 16
    alpha: float | None = None
    """Of the LoRA, whose scale is alpha / rank; None is the rank, so the scale is 1."""
    steps: int = 400
    """Updates of the weights."""
    batch: int = 32
    """Pictures that are learned together."""
    accumulation: int = 1
    """Batches whose gradients make one update."""
    learning_rate: float = 2e-3
    targets: Literal["all", "attention"] = "all"
    """Which layers the LoRA covers: every linear and convolution of the blocks, or attention only."""
    text_encoder: bool = False
    """Train the CLIP text encoders too: their attention by LoRA, or all of them."""
    seed: int = 0
    size: int | None = None
    """Side of the training pictures in pixels; None is the model's own."""
    precision: Precision = "auto"
    """Of the forward pass; weights stay float32. "auto" is bf16 on CUDA and on CPUs with AMX tiles."""
    checkpointing: bool = False
    """Compute activations again in the backward pass instead of keeping them: less memory, more time."""
    caption_dropout: float = 0.1
    """Share of captions replaced by the empty one, which teaches the unconditional half of guidance."""
    flip: bool = False
    """Mirror every other picture, at random."""
    min_snr: float | None = None
    """Gamma of the min-SNR loss weights (arXiv 2303.09556, which advises 5); None weighs all times alike."""
    noise_offset: float = 0.0
    """Strength of noise that is the same all over a channel, added to the noise of each latent."""
    optimizer: Optimizer = "adamw"
    """"adamw8bit" keeps the optimizer's state in 8 bits; by bitsandbytes, which must be installed."""

    @property
    def presentations(self) -> int:
        """Pictures shown in training, all in all."""
        return self.steps * self.batch * self.accumulation

    def check(self) -> None:
        """Refuse values that make no sense, and an optimizer that is not installed.

        Raises:
            InputError: naming the value and the allowed range.
        """
        if self.optimizer == "adamw8bit" and find_spec("bitsandbytes") is None:
            raise InputError(
                "--optimizer adamw8bit needs bitsandbytes", 'Install it: pip install "tracemark[adam8bit]"'
            )
        check_range("--rank", self.rank, 1, 4096)
        check_range("--alpha", self.alpha, 1e-6, 1e6)
        check_range("--steps", self.steps, 1, 10**8)
        check_range("--batch", self.batch, 1, 10**6)
        check_range("--accumulation", self.accumulation, 1, 10**4)
        check_range("--learning-rate", self.learning_rate, 1e-12, 1e30)
        check_range("--resolution", self.size, 8, 8192)
        check_range("--caption-dropout", self.caption_dropout, 0.0, 1.0)
        check_range("--min-snr", self.min_snr, 1e-3, 1e6)
        check_range("--noise-offset", self.noise_offset, 0.0, 10.0)
