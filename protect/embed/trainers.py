"""How people train: the defaults of well-known programs, for the forecast. From their code and documents, 2026."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trainer:
    """What a program does unless it is told otherwise."""

    name: str
    method: str
    """"lora" or "full"."""
    settings: str
    """What else it sets, in words."""
    pictures: int = 0
    """Shown in all (steps times batch), whatever the dataset's size; 0 if it counts passes."""
    epochs: int = 0

    def passes(self, samples: int) -> float:
        """Passes over a dataset of so many samples."""
        return float(self.epochs or self.pictures / max(1, samples))

    def in_words(self) -> str:
        """What it does, for people."""
        shown = f"{self.epochs} passes" if self.epochs else f"{self.pictures:,} pictures in all"
        return f"{shown}, {self.settings}"


TRAINERS = (
    Trainer("sd-scripts (LoRA)", "lora", "rank 4, alpha 1, learning rate 2e-6", pictures=1_600),
    Trainer("ai-toolkit (LoRA)", "lora", "rank 32, learning rate 1e-4", pictures=3_000),
    Trainer("SimpleTuner (LoRA)", "lora", "rank 16, learning rate 1e-4", pictures=10_000),
    Trainer("musubi-tuner (LoRA)", "lora", "the ranks and rates of its examples", epochs=16),
    Trainer("OneTrainer (LoRA)", "lora", "rank 16, learning rate 3e-6", epochs=100),
    Trainer("diffusers script (LoRA)", "lora", "rank 4 on attention only, learning rate 1e-4", epochs=100),
    Trainer("diffusers script (full)", "full", "learning rate 1e-4, text encoder frozen", pictures=60_000),
)
