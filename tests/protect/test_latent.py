"""Family `latent`: directions from a VAE (its null tests stand with those of all families)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protect.basis import load_pictures, make_basis
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.marks import make_family
from protect.marks.family import Pixels
from protect.marks.stored import packed, stored_name, stored_path
from protect.miniature import miniature_path
from protect.release.plan import Options
from protect.release.record import Keyring
from protect.sample import unpack_sample
from protect.vae import load_vae
from tests.protect.conftest import add_basis, make_folder

PICTURES = 60


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Pixels]:
    folder = tmp_path_factory.mktemp("latent") / "sample"
    unpack_sample(folder)
    keys = [sample.key for sample in open_dataset(folder).listing.samples[::40]]
    return load_pictures([folder / key for key in keys[:PICTURES]], 64)


def _latents(pictures: Pixels) -> torch.Tensor:
    vae = load_vae(miniature_path())
    with torch.no_grad():
        pixels = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents: torch.Tensor = vae.encode(pixels).latent_dist.mode()
    return latents


def test_a_basis_moves_latents_further_than_spread_at_the_same_quality(
    keyring: Keyring, pictures: list[Pixels]
) -> None:
    """What the family is for; the same pictures always give the same basis."""
    name = make_basis(miniature_path(), pictures, keyring, side=64)
    assert make_basis(miniature_path(), pictures, keyring, side=64) == name
    before = np.stack(pictures[:12])
    moved = {}
    for law in (make_family("latent", {"basis": name, "psnr": 30.0}), make_family("spread", {"psnr": 30.0})):
        opaque = [np.dstack([p, np.full((64, 64), 255, np.uint8)]) for p in before]
        after = np.stack([law.plant(p, 5, np.random.default_rng(0))[..., :3] for p in opaque])
        moved[law.name] = float((_latents(after) - _latents(before)).mean(dim=0).pow(2).mean().sqrt())
        ids = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
        ids[0] = 5
        scores = law.score(after, before, ids)
        assert scores[0] > scores[1:].max()
    assert moved["latent"] > 1.2 * moved["spread"]


def test_a_release_commits_to_its_basis(tmp_path: Path, keyring: Keyring) -> None:
    name = add_basis(keyring)
    options = Options(rate=0.2, family="latent", family_options={"basis": name, "psnr": 30.0}, slots=2)
    release = embed(make_folder(tmp_path / "d", 60), tmp_path / "out", options, keyring).release
    assert verify(release, tmp_path / "out").intact == 12
    assert release.plan.family_options == {"basis": name, "psnr": 30.0}
    with pytest.raises(InputError, match="out of range"):
        embed(tmp_path / "d", tmp_path / "b", replace(options, family_options={"basis": name, "psnr": 3.0}), keyring)


def test_bad_bases_are_refused(keyring: Keyring, pictures: list[Pixels]) -> None:
    with pytest.raises(InputError, match="needs a basis"):
        make_family("latent", {})
    with pytest.raises(InputError, match="no basis"):
        make_family("latent", {"basis": "0" * 64})
    few = packed(directions=np.zeros((4, 3, 8, 8)), gains=np.ones(4))
    keyring.folder("bases")
    stored_path("basis", stored_name(few)).write_bytes(few)
    with pytest.raises(InputError, match="A basis is"):
        make_family("latent", {"basis": stored_name(few)})
    for side in (60, 32):
        with pytest.raises(InputError, match="does not fit"):
            make_basis(miniature_path(), pictures, keyring, side=side)
    with pytest.raises(InputError, match="too few"):
        make_basis(miniature_path(), pictures[:5], keyring, side=64)
    with pytest.raises(InputError, match="no VAE"):
        make_basis(keyring.home, pictures, keyring, side=64)
