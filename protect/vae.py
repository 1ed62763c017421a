"""Loading the VAE of a latent diffusion model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from protect.errors import InputError


def load_vae(folder: Path) -> Any:
    """A diffusers VAE in evaluation mode, float32, on the CPU.

    Args:
        folder: a diffusers pipeline, or its `vae` folder.

    Raises:
        InputError: if there is no VAE.
    """
    from diffusers import AutoencoderKL

    place = folder / "vae" if (folder / "vae").is_dir() else folder
    try:
        return AutoencoderKL.from_pretrained(place, local_files_only=True).eval()  # type: ignore[no-untyped-call]
    except Exception as error:
        first = str(error).partition("\n")[0]
        raise InputError(
            f"{folder} holds no VAE that loads ({first})", "Give a diffusers pipeline folder, or its vae folder."
        ) from error


def down_factor(vae: Any) -> int:
    """Pixels per latent, along a side."""
    return int(2 ** (len(vae.config.block_out_channels) - 1))
