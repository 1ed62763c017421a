"""SDXL and FLUX.1: trained as they are sampled, saved so that the loader takes every weight."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from detect.suspects.images.folder import load_pipeline
from detect.suspects.images.silence import silenced_libraries
from detect.training.architecture import architecture_of
from detect.training.architecture.flux import Flux
from detect.training.architecture.stable_diffusion_xl import StableDiffusionXL
from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from protect.errors import InputError
from protect.formats.record import Record
from tests.support.flow import CHANNELS, build_flux, build_xl

Samples = list[Record]
TINY = FinetuneOptions(rank=2, steps=2, batch=4, learning_rate=2e-2, targets="attention", precision="fp32", size=16)
LORA = "pytorch_lora_weights.safetensors"
QUERIES = [Query("picture 1", 1), Query("picture 2", 2)]
CAPTIONS = ["a red bus", ""]


@pytest.fixture(scope="module", params=[build_xl, build_flux], ids=["xl", "flux"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each kind; never written to."""
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp("models") / build.__name__)


def drawn(suspect: Path, base: Path | None = None) -> np.ndarray:
    return stacked(load_suspect(suspect, base=base).answer(QUERIES, Sampler(steps=2, size=16)))


@pytest.mark.parametrize("targets", ["attention", "all"])
def test_a_lora_round_trip(model: Path, samples: Samples, tmp_path: Path, targets: Literal["attention", "all"]) -> None:
    """The strict loader refuses a file of which it cannot use every weight."""
    output = tmp_path / "lora"
    options = replace(TINY, targets=targets, text_encoder=targets == "all")
    assert finetune(model, samples, output, options) == ()
    assert (drawn(output, model) != drawn(model)).any()
    names = load_file(output / LORA).keys()
    assert any(".ff." in name or "resnets" in name for name in names) == (targets == "all")
    encoders = architecture_of(load_pipeline(model), model).text_encoder_names
    for name in encoders:
        assert any(key.startswith(f"{name}.") for key in names) == (targets == "all")


def test_a_full_fine_tune_is_a_pipeline_of_its_own(model: Path, samples: Samples, tmp_path: Path) -> None:
    finetune(model, samples, tmp_path / "full", replace(TINY, method="full", learning_rate=1e-3))
    assert (drawn(tmp_path / "full") != drawn(model)).any()


def test_the_loss_falls(model: Path, samples: Samples, tmp_path: Path) -> None:
    losses: list[float] = []
    options = replace(TINY, method="full", learning_rate=5e-3, steps=40, batch=10)
    finetune(model, samples, tmp_path / "out", options, progress=lambda *args: losses.append(args[2]))
    assert np.mean(losses[-8:]) < 0.9 * np.mean(losses[:8])


def test_training_asks_the_network_what_sampling_asks_it(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sampling step without guidance, by the pipeline itself, calls the network with the same arguments."""
    pipeline = load_pipeline(model)
    trained = architecture_of(pipeline, model)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    own = trained.denoiser.forward

    def watched(*args: Any, **more: Any) -> Any:
        calls.append((args, more))
        return own(*args, **more)

    monkeypatch.setattr(trained.denoiser, "forward", watched)
    with silenced_libraries():
        pipeline(CAPTIONS, num_inference_steps=1, guidance_scale=1.0, height=16, width=16, output_type="latent")
    args, more = calls[0]
    sampled = more.get("hidden_states", args[0] if args else None)
    time = more.get("timestep", args[1] if len(args) > 1 else None)
    noisy = sampled if sampled.ndim == 4 else pipeline._unpack_latents(sampled, 16, 16, pipeline.vae_scale_factor)
    times = time.expand(2) * (1000 if isinstance(trained, Flux) else 1)
    with torch.no_grad():
        trained.predict(noisy, times, trained.embed(CAPTIONS))
    own_args, own_more = calls[-1]
    for one, other in zip([*args, *flat(more)], [*own_args, *flat(own_more)], strict=True):
        assert torch.allclose(one.float(), other.float(), atol=1e-5)


def flat(arguments: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors among named arguments, by name."""
    found: list[torch.Tensor] = []
    for _, value in sorted(arguments.items()):
        found += flat(value) if isinstance(value, dict) else [value] if isinstance(value, torch.Tensor) else []
    return found


def test_a_guided_flux_is_trained_at_guidance_one(samples: Samples, tmp_path: Path) -> None:
    guided = build_flux(tmp_path / "guided", guided=True)
    finetune(guided, samples, tmp_path / "lora", TINY)
    assert (drawn(tmp_path / "lora", guided) != drawn(guided)).any()


@pytest.mark.parametrize(("pixels", "median"), [(256, 0.5), (1024, 1.15)])
def test_times_of_flux_move_towards_noise_as_pictures_grow(tmp_path: Path, pixels: int, median: float) -> None:
    """At 256 and 4,096 tokens the logarithm of the shift is what the scheduler says for them."""
    trained = architecture_of(load_pipeline(build_flux(tmp_path / "flux")), tmp_path)
    side = pixels // 8
    times = trained.draw_times(torch.empty(4000, CHANNELS, side, side), torch.Generator().manual_seed(0)) / 1000
    assert float(times.logit().median()) == pytest.approx(median, abs=0.06)
    assert float(times.logit().std()) == pytest.approx(1.0, abs=0.05), "logit-normal"


def test_noise_and_target_lie_on_one_line(tmp_path: Path) -> None:
    trained = Flux(load_pipeline(build_flux(tmp_path / "flux")))
    latents, noise = torch.randn(2, 3, CHANNELS, 8, 8)
    noisy, target = trained.mix(latents, noise, torch.tensor([0.0, 500.0, 1000.0]))
    assert torch.allclose(noisy[0], latents[0]) and torch.allclose(noisy[2], noise[2])
    assert torch.allclose(noisy[1], (latents[1] + noise[1]) / 2) and torch.allclose(target, noise - latents)


def test_kinds_that_lack_a_part_are_refused(tmp_path: Path) -> None:
    pipeline = load_pipeline(build_xl(tmp_path / "xl"))
    assert type(architecture_of(pipeline, tmp_path)) is StableDiffusionXL
    pipeline.text_encoder = None
    with pytest.raises(InputError, match="StableDiffusionXLPipeline"):
        architecture_of(pipeline, tmp_path)
    flux = load_pipeline(build_flux(tmp_path / "flux"))
    flux.text_encoder_2 = None
    with pytest.raises(InputError, match="FluxPipeline"):
        architecture_of(flux, tmp_path)
