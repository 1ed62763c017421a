"""How people train: the defaults of well-known programs, for the forecast. From their code and documents, 2026."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trainer:
    """What a program does unless it is told otherwise."""

    name: str
    method: str
    """"lora" or "full"."""
    pictures: int = 0
    """Shown in all (steps times batch), whatever the dataset's size; 0 if it counts passes."""
    epochs: int = 0

    def passes(self, samples: int) -> float:
        """Passes over a dataset of so many samples."""
        return float(self.epochs or self.pictures / max(1, samples))

    def in_words(self) -> str:
        """What it does, for people."""
        return f"{self.epochs} passes" if self.epochs else f"{self.pictures:,} pictures in all"


TRAINERS = (
    Trainer("sd-scripts (LoRA)", "lora", pictures=1_600),
    Trainer("ai-toolkit (LoRA)", "lora", pictures=3_000),
    Trainer("musubi-tuner (LoRA)", "lora", epochs=16),
    Trainer("OneTrainer (LoRA)", "lora", epochs=100),
    Trainer("diffusers script (LoRA)", "lora", epochs=100),
    Trainer("diffusers script (full)", "full", pictures=60_000),
)
