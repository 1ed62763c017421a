"""The VAE of a latent diffusion model: loading it, and pictures to latents and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from protect.errors import InputError

if TYPE_CHECKING:
    import torch

    from protect.marks.family import Pixels


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


def own_side(vae: Any) -> int:
    """Side of the pictures for which a VAE was made, in pixels."""
    return int(vae.config.sample_size)


def as_tensor(pictures: Pixels) -> torch.Tensor:
    """RGB pictures (n, H, W, 3) as a VAE takes them: float32 from -1 to 1, shape (n, 3, H, W)."""
    import torch

    return torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1


def encode(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """The most likely latents of pictures (n, 3, H, W); gradients flow through."""
    latents: torch.Tensor = vae.encode(pictures).latent_dist.mode()
    return latents


def round_trip(vae: Any, pictures: Pixels) -> Pixels:
    """Pictures (n, H, W, 3) through latents and back; both sides are multiples of the VAE's factor."""
    import torch

    with torch.no_grad():
        decoded = vae.decode(encode(vae, as_tensor(pictures))).sample.clamp(-1, 1)
    levels = ((decoded.permute(0, 2, 3, 1) + 1) * 127.5).round().numpy()
    return np.asarray(levels.astype(np.uint8))
