"""Attacks by how the thief trains."""

from __future__ import annotations

from dataclasses import replace

from attacks.stages.attack import TrainingAttack
from detect.training.finetune import FinetuneOptions


def fewer_steps(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """Stopped early; a tenth of the steps."""
    return replace(options, steps=max(1, round(options.steps * (1 - 0.9 * strength))))


def lower_rate(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """A lower learning rate; a tenth."""
    return replace(options, learning_rate=options.learning_rate * 10**-strength)


def lower_rank(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """A LoRA of lower rank; 1."""
    return replace(options, rank=max(1, round(options.rank ** (1 - strength))))


def frozen_text(options: FinetuneOptions, strength: float) -> FinetuneOptions:
    """The text encoder is not trained, from half strength on."""
    return replace(options, text_encoder=options.text_encoder and strength < 0.5)


ATTACKS = (
    TrainingAttack("fewer-steps", "stopped early, down to a tenth of the steps", fewer_steps),
    TrainingAttack("lower-rate", "learning rate down to a tenth", lower_rate),
    TrainingAttack("lower-rank", "LoRA rank down to 1", lower_rank),
    TrainingAttack("frozen-text", "text encoder frozen from half strength on", frozen_text),
)
