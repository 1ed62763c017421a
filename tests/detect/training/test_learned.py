"""How far captions were learned: a number with known ends, the same for all kinds of models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from PIL import Image
from torch import Tensor

from attacks.quality import denoising_losses
from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import Embedded, architecture_of
from detect.training.architecture.stable_diffusion import StableDiffusion
from detect.training.learned import captions_learned
from detect.training.samples import read_picture
from protect.formats.record import Record
from tests.detect.conftest import png, record
from tests.support.flow import build_flux, build_xl
from tests.support.models import build
from tests.support.transformers import build_transformer


def pictures(count: int = 12) -> list[Record]:
    rng = np.random.default_rng(1)
    return [
        record(f"{i}.png", png(Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8))))
        for i in range(count)
    ]


class Oracle(StableDiffusion):
    """Answers rightly but for an error that is larger where the caption is another picture's."""

    def __init__(self, pipeline: Any, samples: list[Record], cares: float) -> None:
        super().__init__(pipeline)
        self.places = {sample.caption: i for i, sample in enumerate(samples)}
        self.cares, self.target = cares, torch.zeros(0)

    def embed(self, captions: list[str]) -> Embedded:
        return (torch.tensor([self.places[caption] for caption in captions]),)

    def mix(self, latents: Tensor, noise: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        noisy, self.target = super().mix(latents, noise, times)
        return noisy, self.target

    def predict(self, noisy: Tensor, times: Tensor, embedded: Embedded) -> Tensor:
        wrong = (embedded[0] != torch.arange(len(noisy))).float()
        return self.target + (1 + self.cares * wrong)[:, None, None, None]


@pytest.mark.parametrize(("cares", "expected"), [(0.0, 0.0), (1.0, 0.75), (9.0, 0.99)])
def test_its_ends_are_known(base: Path, cares: float, expected: float) -> None:
    """Errors of 1 with the right caption, of (1 + cares)² with a wrong one."""
    samples = pictures()
    model = Oracle(load_pipeline(base), samples, cares)
    assert captions_learned(model, samples, 16, "cpu") == pytest.approx(expected, abs=1e-5)


def test_losses_are_those_of_the_library_at_five_times(base: Path) -> None:
    """By hand from the UNet and diffusers' own noise schedule: figures that ship with the project rest on it."""
    samples, pipeline = pictures(), load_pipeline(base)
    shown = [read_picture(sample.read(), 16) for sample in samples]
    said = [sample.caption for sample in samples]
    ddpm: Any = DDPMScheduler
    scheduler = ddpm.from_config(pipeline.scheduler.config)

    @torch.inference_mode()
    def by_hand(captions: list[str]) -> Tensor:
        pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float() / 127.5 - 1
        latents = pipeline.vae.encode(pixels).latent_dist.mode() * pipeline.vae.config.scaling_factor
        tokens = pipeline.tokenizer(
            captions, padding="max_length", max_length=pipeline.tokenizer.model_max_length, return_tensors="pt"
        )
        states = pipeline.text_encoder(tokens.input_ids)[0]
        total, generator = torch.zeros(len(latents)), torch.Generator().manual_seed(0)
        for time in (100, 250, 400, 600, 800):
            noise = torch.randn(latents.shape[1:], generator=generator).expand_as(latents)
            times = torch.full((len(latents),), time)
            answer = pipeline.unet(scheduler.add_noise(latents, noise, times), times, states).sample
            total += (answer - scheduler.get_velocity(latents, noise, times)).pow(2).mean(dim=(1, 2, 3)) / 5
        return total

    model, others = architecture_of(pipeline, base), said[6:] + said[:6]
    for captions in (said, others):
        assert np.allclose(denoising_losses(model, shown, captions), by_hand(captions), atol=1e-5)
    expected = float(1 - by_hand(said).mean() / by_hand(others).mean())
    assert captions_learned(model, samples, 16, "cpu") == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("made", [build, build_xl, build_transformer, build_flux], ids=["sd", "xl", "sd3", "flux"])
def test_every_kind_of_model_can_be_measured_and_again_says_the_same(
    made: Callable[[Path], Path], tmp_path: Path
) -> None:
    path, samples = made(tmp_path / "model"), pictures()
    first, second = (captions_learned(architecture_of(load_pipeline(path), path), samples, 16, "cpu") for _ in range(2))
    assert first == second and abs(first) < 0.2, "random weights have learned nothing"


@pytest.mark.parametrize("made", [build, build_xl, build_transformer, build_flux], ids=["sd", "xl", "sd3", "flux"])
def test_half_precision_measures_nearly_the_same(made: Callable[[Path], Path], tmp_path: Path) -> None:
    path, samples = made(tmp_path / "model"), pictures()
    exact, rough = (
        captions_learned(architecture_of(pipeline, path), samples, 16, "cpu")
        for pipeline in (load_pipeline(path), load_pipeline(path).to(torch.bfloat16))
    )
    assert rough == pytest.approx(exact, abs=0.01)
