"""The miniature: a Stable Diffusion of a few million parameters, 64 px, shipped with the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def miniature_path() -> Path:
    """The folder that `StableDiffusionPipeline.from_pretrained` loads."""
    return Path(str(files("protect"))) / "assets" / "miniature"
