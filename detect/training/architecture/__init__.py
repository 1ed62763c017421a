"""What training must know of each kind of model; a new kind is one more file here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detect.training.architecture.architecture import Architecture, Embedded
from detect.training.architecture.flux import Flux
from detect.training.architecture.stable_diffusion import StableDiffusion
from detect.training.architecture.stable_diffusion_3 import StableDiffusion3
from detect.training.architecture.stable_diffusion_xl import StableDiffusionXL
from protect.errors import InputError

__all__ = ["Architecture", "Embedded", "architecture_of", "known_architecture"]

KNOWN: tuple[type[Architecture], ...] = (StableDiffusion, StableDiffusionXL, StableDiffusion3, Flux)


def known_architecture(pipeline: Any) -> Architecture | None:
    """How to train a pipeline; None if no architecture here is its."""
    fitting = (kind for kind in KNOWN if type(pipeline).__name__ == kind.pipeline_class and kind.fits(pipeline))
    found = next(fitting, None)
    return None if found is None else found(pipeline)


def architecture_of(pipeline: Any, base: Path) -> Architecture:
    """How to train a pipeline.

    Args:
        pipeline: as diffusers loads it.
        base: where it lies, for the message.

    Raises:
        InputError: if no architecture here is its.
    """
    if (found := known_architecture(pipeline)) is not None:
        return found
    raise InputError(
        f"{base} is a {type(pipeline).__name__}, and here only these can be fine-tuned: "
        + ", ".join(kind.pipeline_class for kind in KNOWN),
        "Train it with its own script and give the result as a suspect.",
    )
