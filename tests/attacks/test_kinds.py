"""Attacks on models, and what they cost, for every kind of model that can be fine-tuned here."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from attacks.cell import Cell
from attacks.measure import run_cells
from attacks.quality import denoising_losses, features
from attacks.stages.attack import Resources
from attacks.stages.registry import find_attack
from attacks.stages.samples import read_captioned
from attacks.workshop import Setting, Workshop
from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import Architecture, architecture_of
from detect.training.options import FinetuneOptions
from protect.release.plan import Options
from tests.support.datasets import make_folder
from tests.support.flow import build_flux, build_xl
from tests.support.models import build
from tests.support.thieves import photo, resources
from tests.support.transformers import build_transformer

KINDS = {"sd": build, "xl": build_xl, "sd3": build_transformer, "flux": build_flux}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def thief(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Resources:
    made: Callable[[Path], Path] = request.param
    work = tmp_path_factory.mktemp("thief")
    return resources(work, made(work / "base"))


@pytest.fixture(scope="module")
def model(thief: Resources) -> Architecture:
    return architecture_of(load_pipeline(thief.base), thief.base)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of each part that fine-tuning can change, by its name in the pipeline."""
    pipeline = load_pipeline(folder)
    second = ("text_encoder_2",) if type(pipeline).__name__ != "FluxPipeline" else ()  # FLUX's second is a T5
    names = ("unet", "transformer", "text_encoder", *second)
    parts = {name: part for name in names if (part := getattr(pipeline, name, None)) is not None}
    return {name: torch.cat([w.detach().flatten() for w in part.parameters()]) for name, part in parts.items()}


def test_losses_and_features_tell_pictures_apart(model: Architecture) -> None:
    shown = [photo(seed) for seed in range(3)]
    losses = denoising_losses(model, shown, ["a house"] * 3)
    assert losses.shape == (3,) and np.isfinite(losses).all() and len(set(losses)) == 3
    assert np.array_equal(losses, denoising_losses(model, shown, ["a house"] * 3))
    read = features(model, shown)
    assert read.shape[0] == 3 and np.isfinite(read).all() and len(np.unique(read, axis=0)) == 3


@pytest.mark.parametrize("name", ["prune", "quantise-weights", "weight-noise", "merge-other", "continue"])
def test_models_are_altered(name: str, thief: Resources, tmp_path: Path) -> None:
    attack = find_attack(name).equipped(thief)
    before, after = weights(thief.base), weights(attack.on_model(thief.base, 1.0, 3, tmp_path / "altered"))
    changed = {part for part in before if not torch.equal(before[part], after[part])}
    if name in ("merge-other", "continue"):
        assert changed & {"unet", "transformer"}, "training may leave text encoders as they are"
    else:
        assert changed == set(before)


def test_a_merge_with_the_base_goes_a_tenth_short_of_it(thief: Resources, tmp_path: Path) -> None:
    tuned = find_attack("weight-noise").equipped(thief).on_model(thief.base, 1.0, 3, tmp_path / "tuned")
    merged = find_attack("merge-base").equipped(thief).on_model(tuned, 1.0, 3, tmp_path / "merged")
    before, after, base = weights(tuned), weights(merged), weights(thief.base)
    for part in base:
        assert torch.allclose(after[part] - base[part], 0.1 * (before[part] - base[part]), atol=1e-6), part


@pytest.mark.parametrize("name", ["purify", "redraw", "vae"])
def test_pictures_are_drawn_anew_at_their_own_size(name: str, thief: Resources) -> None:
    attack = find_attack(name).equipped(thief)
    samples = read_captioned(thief.clean)[:1]
    done = attack.on_data(samples, 0.5, b"key")
    assert done[0].picture.shape == samples[0].picture.shape and done[0].caption == samples[0].caption
    assert not np.array_equal(done[0].picture, samples[0].picture)


def test_a_transformer_goes_the_whole_way(tmp_path: Path) -> None:
    """Mark, strike, train by flow matching, detect, and what it cost."""
    small = Options(rate=0.2, slots=1, queries=2, decoys=99, alpha=0.05, steps=2)
    tuning = FinetuneOptions(method="full", steps=2, batch=4, learning_rate=1e-4)
    setting = Setting(make_folder(tmp_path / "d", 60), build_transformer(tmp_path / "base"), small, tuning)
    painted = partial(Cell, family="template", alignment="twa-double")
    cells = [painted("none", 0.0), painted("merge-base", 0.5, "model"), painted("drop-losses", 1.0)]
    results = run_cells(cells, Workshop(setting, tmp_path / "w", tmp_path / "w" / "cache"))
    costs = [(result.price.denoising_loss, result.price.kernel_distance) for result in results]
    assert all(loss is not None and distance is not None for loss, distance in costs)
    assert len(set(costs)) == 3 and results[2].samples == 32
