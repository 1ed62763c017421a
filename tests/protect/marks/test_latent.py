"""Family `latent`: directions from a VAE (its null tests stand with those of all families)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from protect.basis import load_pictures, make_basis, own_side
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.record import Record
from protect.keys.keyring import Keyring
from protect.keys.store import Store
from protect.marks import make_family
from protect.marks.family import Answers, Pixels
from protect.miniature import miniature_path
from protect.pixels.measure import png_bytes
from protect.release.plan import Options
from protect.vae import as_tensor, encode, load_vae
from tests.support.datasets import make_folder
from tests.support.pictures import opaque, photograph
from tests.support.stores import add_basis

PICTURES = 60


@pytest.fixture(scope="module")
def pictures() -> list[Pixels]:
    return [photograph(i, 64, 64)[..., :3] for i in range(PICTURES)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _latents(pictures: Pixels) -> torch.Tensor:
    with torch.no_grad():
        return encode(load_vae(miniature_path()), as_tensor(pictures))


def test_a_basis_moves_latents_further_than_spread_at_the_same_quality(store: Store, pictures: list[Pixels]) -> None:
    """What the family is for; the same pictures always give the same basis."""
    name = make_basis(miniature_path(), pictures, store, side=64)
    assert make_basis(miniature_path(), iter(pictures), store, side=64) == name
    before, moved = np.stack(pictures[:12]), {}
    for law in (make_family("latent", {"basis": name, "psnr": 30.0}, store), make_family("spread", {"psnr": 30.0})):
        after = np.stack([law.plant(opaque(p), 5, np.random.default_rng(0))[..., :3] for p in before])
        moved[law.name] = float((_latents(after) - _latents(before)).mean(dim=0).pow(2).mean().sqrt())
        ids = np.random.default_rng(0).integers(0, 2**64, 1000, dtype=np.uint64)
        ids[0] = 5
        scores = law.score(Answers(after, before), ids)
        assert scores[0] > scores[1:].max()
    assert moved["latent"] > 1.2 * moved["spread"]


def test_pictures_are_gone_through_once_and_one_at_a_time(store: Store, pictures: list[Pixels]) -> None:
    steps: list[tuple[str, int, int]] = []
    given: list[int] = []

    def stream() -> Iterator[Pixels]:
        for number, picture in enumerate(pictures[:40], 1):
            assert len([t for t in steps if t[0] == "latents"]) == number - 1, "asked for before the last was used"
            given.append(number)
            yield picture

    make_basis(miniature_path(), stream(), store, side=64, progress=lambda *step: steps.append(step))
    assert given == list(range(1, 41))
    assert steps[-1][0] == "directions" and steps[-1][1] == steps[-1][2] > 0


def test_pictures_that_cannot_be_read_are_set_aside_with_their_reason() -> None:
    def missing() -> bytes:
        raise OSError(5, "Input/output error")

    good = Record("a.png", {"text": "a"}, lambda: png_bytes(photograph(0, 30, 50)))
    bad = Record("b.png", {"text": "b"}, lambda: b"no picture")
    gone = Record("c.png", {"text": "c"}, missing)
    seen, set_aside = load_pictures([bad, good, gone, good], 64)
    assert set_aside == [], "nothing is read before it is asked for"
    assert [p.shape for p in seen] == [(64, 64, 3)] * 2
    assert [s.key for s in set_aside] == ["b.png", "c.png"] and "Input/output error" in set_aside[1].reason


def test_a_release_commits_to_its_basis(tmp_path: Path, keyring: Keyring) -> None:
    name = add_basis(keyring.store)
    options = Options(rate=0.2, family="latent", family_options={"basis": name, "psnr": 30.0}, slots=2)
    done = embed(make_folder(tmp_path / "d", 60), tmp_path / "out", options, keyring, anyway=True)
    assert verify(done.bound, open_dataset(tmp_path / "out")).intact == 12
    assert done.release.plan.parts[0].family_options == {"basis": name, "psnr": 30.0}
    with pytest.raises(InputError, match="out of range"):
        embed(tmp_path / "d", tmp_path / "b", replace(options, family_options={"basis": name, "psnr": 3.0}), keyring)


def test_bad_bases_are_refused(store: Store, pictures: list[Pixels], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"needs a basis\nMake one: protect basis"):
        make_family("latent", {}, store)
    with pytest.raises(InputError, match="there is no basis"):
        make_family("latent", {"basis": "0" * 64}, store)
    few = store.put("basis", directions=np.zeros((4, 3, 8, 8)), gains=np.ones(4))
    flat = store.put("basis", directions=np.zeros((40, 3, 8, 6)), gains=np.ones(40))
    for name in (few, flat):
        with pytest.raises(InputError, match="A basis is"):
            make_family("latent", {"basis": name}, store)
    for side in (60, 32):
        with pytest.raises(InputError, match="does not fit"):
            make_basis(miniature_path(), pictures, store, side=side)
    with pytest.raises(InputError, match=r"5 pictures are too few\n32 are needed"):
        make_basis(miniature_path(), pictures[:5], store, side=64)
    with pytest.raises(InputError, match="no VAE"):
        make_basis(tmp_path, pictures, store, side=64)


def test_the_usual_side_is_the_vaes_own() -> None:
    assert own_side(miniature_path()) == 64
