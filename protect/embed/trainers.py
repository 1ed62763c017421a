"""How people train: the defaults of well-known programs, for the forecast. From their code and documents, 2026."""

from __future__ import annotations

from dataclasses import dataclass

SLOWEST_TRIED = 1e-3
"""Lowest learning rate of the runs that ship with the project."""


@dataclass(frozen=True, slots=True)
class Trainer:
    """What a program does unless it is told otherwise."""

    name: str
    method: str
    """"lora" or "full"."""
    settings: str
    """What else it sets, in words."""
    learning_rate: float | None
    """None where its documents name none for all."""
    pictures: int = 0
    """Shown in all (steps times batch), whatever the dataset's size; 0 if it counts passes."""
    epochs: int = 0

    def passes(self, samples: int) -> float:
        """Passes over a dataset of so many samples."""
        return float(self.epochs or self.pictures / max(1, samples))

    def in_words(self) -> str:
        """What it does, for people."""
        shown = f"{self.epochs} passes" if self.epochs else f"{self.pictures:,} pictures in all"
        rate = f", learning rate {self.learning_rate:.0e}".replace("e-0", "e-") if self.learning_rate else ""
        return f"{shown}, {self.settings}{rate}"


TRAINERS = (
    Trainer("sd-scripts (LoRA)", "lora", "rank 4, alpha 1", 2e-6, pictures=1_600),
    Trainer("ai-toolkit (LoRA)", "lora", "rank 32", 1e-4, pictures=3_000),
    Trainer("SimpleTuner (LoRA)", "lora", "rank 16", 1e-4, pictures=10_000),
    Trainer("musubi-tuner (LoRA)", "lora", "the ranks of its examples", None, epochs=16),
    Trainer("OneTrainer (LoRA)", "lora", "rank 16", 3e-6, epochs=100),
    Trainer("diffusers script (LoRA)", "lora", "rank 4 on attention only", 1e-4, epochs=100),
    Trainer("diffusers script (full)", "full", "text encoder frozen", 1e-4, pictures=60_000),
)
