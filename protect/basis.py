"""`protect basis`: the directions of family `latent`, from a VAE and public pictures. No key takes part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg

from protect.embed.verify import on_white
from protect.embed.write import Progress
from protect.errors import InputError
from protect.marks.family import Array, Pixels
from protect.marks.latent import FEWEST_PICTURES
from protect.marks.sign_vectors import cosines
from protect.marks.stored import packed
from protect.pixels.images import obstacle, picture_at, read_rgba
from protect.release.record import Keyring
from protect.vae import down_factor, load_vae

_WAVES = 8
"""Half periods along a side of the latents, from 0 to one less: those that diffusion models learn first."""
_DIRECTIONS = 128
_LINEARISED = 6
"""Pictures at which the encoder is linearised: the gradients are dear, and hardly differ between pictures."""
_LARGEST = 256
_SHRINKAGE = 0.1
"""Part of the covariance's diagonal, and of its mean diagonal, that is added: there are few pictures."""


def make_basis(
    vae_folder: Path, pictures: Sequence[Pixels], keyring: Keyring, *, side: int, progress: Progress = lambda *_: None
) -> str:
    """Compute a basis and keep it in the keyring.

    With J the encoder's derivative at the pictures (to low cosine waves of its latents), and C the covariance of those
    waves between pictures, the directions are the first right singular vectors of C^(-1/2) J: the changes of pixels
    that stand out most from what pictures are like anyway, as the model sees them. A direction's gain is its singular
    value.

    Args:
        vae_folder: a diffusers pipeline, or its `vae` folder.
        pictures: RGB, shape (side, side, 3) each; a hundred or more tell enough about C.
        keyring: gets the basis; the default keyring is where embedding and detection look for it.
        side: of the pictures, in pixels; a multiple of the VAE's factor.
        progress: told (stage, done, total).

    Returns:
        The basis's name, for `--option basis=NAME`.

    Raises:
        InputError: if there is no VAE, the side does not fit it, or there are too few pictures.
    """
    vae = load_vae(vae_folder).requires_grad_(False)
    factor = down_factor(vae)
    if side % factor or side // factor < _WAVES:
        raise InputError(
            f"--side {side} does not fit the VAE", f"Allowed: multiples of {factor} from {_WAVES * factor}."
        )
    if len(pictures) < FEWEST_PICTURES:
        raise InputError(f"{len(pictures)} pictures are too few", f"{FEWEST_PICTURES} are needed; more are better.")
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    told = []
    for done, picture in enumerate(pixels):
        progress("latents", done, len(pixels))
        with torch.no_grad():
            told.append(_waves(vae.encode(picture[None]).latent_dist.mode()).double().numpy())
    covariance = np.cov(np.concatenate(told).T)
    diagonal = np.diag(covariance)
    covariance += _SHRINKAGE * np.diag(diagonal + diagonal.mean())
    derivative = _derivative(vae, pixels[:_LINEARISED], progress)
    whitened = linalg.solve_triangular(linalg.cholesky(covariance, lower=True), derivative, lower=True)
    _, gains, directions = linalg.svd(whitened, full_matrices=False)
    count = min(_DIRECTIONS, len(gains))
    shaped = directions[:count].reshape(count, 3, side, side)
    return keyring.store("basis", packed(directions=shaped.astype(np.float32), gains=gains[:count]))


def own_side(vae_folder: Path) -> int:
    """The side, in pixels, for which a VAE was made, 256 at most: gradients of larger pictures take hours.

    Raises:
        InputError: if there is no VAE.
    """
    return min(_LARGEST, int(load_vae(vae_folder).config.sample_size))


def load_pictures(files: Sequence[Path], side: int) -> list[Pixels]:
    """The pictures that can be read, on white, shape (side, side, 3) each."""
    readable = (file for file in files if obstacle(file, 1) is None)
    return [picture_at(on_white(read_rgba(file)), side) for file in readable]


def _waves(latents: torch.Tensor) -> torch.Tensor:
    """Low cosine waves of latents (n, c, h, h), shape (n, c · waves²)."""
    lines = torch.from_numpy(cosines(latents.shape[2], _WAVES)).float()
    return torch.einsum("nchw,uh,vw->ncuv", latents, lines, lines).flatten(1)


def _derivative(vae: Any, pictures: torch.Tensor, progress: Progress) -> Array:
    """Mean derivative of the waves with respect to pixels, shape (d, 3 · side²)."""
    pixels = pictures.clone().requires_grad_()
    waves = _waves(vae.encode(pixels).latent_dist.mode()).sum(dim=0)
    rows = []
    for done, wave in enumerate(waves):
        progress("directions", done, len(waves))
        (gradient,) = torch.autograd.grad(wave, pixels, retain_graph=True)
        rows.append(gradient.mean(dim=0).flatten().double().numpy())
    progress("directions", len(waves), len(waves))
    return np.stack(rows)
