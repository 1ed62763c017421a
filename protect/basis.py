"""`protect basis`: the directions of family `latent`, from a VAE and public pictures. No key takes part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import linalg

from protect import vae as vaes
from protect.errors import InputError
from protect.formats.record import Record, SetAside
from protect.keys.store import Store
from protect.marks.family import Array, Pixels
from protect.marks.latent import FEWEST_PICTURES
from protect.marks.sign_vectors import cosines
from protect.pixels.measure import on_white, picture_at
from protect.pixels.picture import PictureError, read_rgba
from protect.progress import Progress, no_progress

_WAVES = 8
"""Half periods along a side of the latents, from 0 to one less: those that diffusion models learn first."""
_DIRECTIONS = 128
_LINEARISED = 6
"""Pictures at which the encoder is linearised: the gradients are dear, and hardly differ between pictures."""
_LARGEST = 256
_SHRINKAGE = 0.1
"""Part of the covariance's diagonal, and of its mean diagonal, that is added: there are few pictures."""


def make_basis(
    vae_folder: Path, pictures: Iterable[Pixels], store: Store, *, side: int, progress: Progress = no_progress
) -> str:
    """Compute a basis and keep it in the store.

    With J the encoder's derivative at the pictures (to low cosine waves of its latents), and C the covariance of those
    waves between pictures, the directions are the first right singular vectors of C^(-1/2) J: the changes of pixels
    that stand out most from what pictures are like anyway, as the model sees them. A direction's gain is its singular
    value.

    Args:
        vae_folder: a diffusers pipeline, or its `vae` folder.
        pictures: RGB, shape (side, side, 3) each, gone through once; a hundred or more tell enough about C.
        store: gets the basis; embedding and detection look for it in their keyring's store.
        side: of the pictures, in pixels; a multiple of the VAE's factor.
        progress: called with (stage, done, total).

    Returns:
        The basis's name, for `--option basis=NAME`.

    Raises:
        InputError: if there is no VAE, the side does not fit it, or there are too few pictures.
    """
    vae = vaes.load_vae(vae_folder).requires_grad_(False)
    factor = vaes.down_factor(vae)
    if side % factor or side // factor < _WAVES:
        raise InputError(
            f"--side {side} does not fit the VAE", f"Allowed: multiples of {factor} from {_WAVES * factor}."
        )
    covariance, first = _seen_by(vae, pictures, progress)
    diagonal = np.diag(covariance)
    covariance += _SHRINKAGE * np.diag(diagonal + diagonal.mean())
    derivative = _derivative(vae, first, progress)
    whitened = linalg.solve_triangular(linalg.cholesky(covariance, lower=True), derivative, lower=True)
    _, gains, directions = linalg.svd(whitened, full_matrices=False)
    count = min(_DIRECTIONS, len(gains))
    shaped = directions[:count].reshape(count, 3, side, side)
    return store.put("basis", directions=shaped.astype(np.float32), gains=gains[:count])


def own_side(vae_folder: Path) -> int:
    """The side, in pixels, for which a VAE was made, 256 at most: gradients of larger pictures take hours.

    Raises:
        InputError: if there is no VAE.
    """
    return min(_LARGEST, vaes.own_side(vaes.load_vae(vae_folder)))


def load_pictures(records: Iterable[Record], side: int) -> tuple[Iterator[Pixels], list[SetAside]]:
    """The pictures of samples, on white, shape (side, side, 3) each, one at a time.

    Returns:
        The pictures that can be read, and a list to which the others are added as they are met.
    """
    set_aside: list[SetAside] = []

    def pictures() -> Iterator[Pixels]:
        for record in records:
            try:
                yield picture_at(on_white(read_rgba(record.read())), side)
            except OSError as error:
                set_aside.append(SetAside(record.key, f"cannot be read ({error.strerror or error})"))
            except PictureError as error:
                set_aside.append(SetAside(record.key, error.what))

    return pictures(), set_aside


def _seen_by(vae: Any, pictures: Iterable[Pixels], progress: Progress) -> tuple[Array, torch.Tensor]:
    """Covariance of the waves of latents between pictures, and the first few pictures as the VAE takes them.

    One pass (Welford 1962), so that any number of pictures needs the memory of one.
    """
    first: list[torch.Tensor] = []
    mean, scatter, count = np.zeros(()), np.zeros(()), 0
    for count, picture in enumerate(pictures, 1):
        pixels = vaes.as_tensor(picture[None])
        with torch.no_grad():
            waves = _waves(vaes.encode(vae, pixels))[0].double().numpy()
        step = waves - mean
        mean = mean + step / count
        scatter = scatter + np.outer(step, waves - mean)
        first += [pixels] if count <= _LINEARISED else []
        progress("latents", count, 0)
    if count < FEWEST_PICTURES:
        raise InputError(f"{count} pictures are too few", f"{FEWEST_PICTURES} are needed; more are better.")
    return scatter / (count - 1), torch.cat(first)


def _waves(latents: torch.Tensor) -> torch.Tensor:
    """Low cosine waves of latents (n, c, h, h), shape (n, c · waves²)."""
    lines = torch.from_numpy(cosines(latents.shape[2], _WAVES)).float()
    return torch.einsum("nchw,uh,vw->ncuv", latents, lines, lines).flatten(1)


def _derivative(vae: Any, pictures: torch.Tensor, progress: Progress) -> Array:
    """Mean derivative of the waves with respect to pixels, shape (d, 3 · side²)."""
    pixels = pictures.clone().requires_grad_()
    waves = _waves(vaes.encode(vae, pixels)).sum(dim=0)
    rows = []
    for done, wave in enumerate(waves):
        progress("directions", done, len(waves))
        (gradient,) = torch.autograd.grad(wave, pixels, retain_graph=True)
        rows.append(gradient.mean(dim=0).flatten().double().numpy())
    progress("directions", len(waves), len(waves))
    return np.stack(rows)
