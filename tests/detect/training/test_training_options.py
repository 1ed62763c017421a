"""Every training option does what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import architecture_of
from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from detect.training.samples import Latents
from detect.training.trainer import Trainer
from protect.errors import InputError
from protect.formats.record import Record
from tests.support.flow import build_flux, build_xl
from tests.support.models import build
from tests.support.transformers import build_transformer

Samples = list[Record]
TINY = FinetuneOptions(rank=2, steps=4, batch=4, learning_rate=1e-2, targets="attention", precision="fp32")
LORA = "pytorch_lora_weights.safetensors"
BUILDERS: list[Callable[[Path], Path]] = [build, build_xl, build_transformer, build_flux]
"""One of each architecture."""


@pytest.fixture(scope="module", params=BUILDERS, ids=["sd", "xl", "sd3", "flux"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of each kind; never written to."""
    made: Callable[[Path], Path] = request.param
    return made(tmp_path_factory.mktemp("models") / made.__name__)


def trainer(base: Path, samples: Samples, **more: Any) -> Trainer:
    return Trainer(base, samples, replace(TINY, size=16, **more), "cpu")


def gradients(made: Trainer) -> torch.Tensor:
    """Those of the first update, in a row."""
    for lesson in made.lessons(0):
        made._learn(lesson)
    return torch.cat([p.grad.flatten() for p in made.parameters if p.grad is not None])


def weights_after(base: Path, samples: Samples, output: Path, **more: Any) -> dict[str, torch.Tensor]:
    finetune(base, samples, output, replace(TINY, size=16, **more))
    return load_file(output / LORA)


# --- batches, memory, precision -------------------------------------------------------------------


def test_two_batches_of_four_are_one_of_eight(model: Path, samples: Samples) -> None:
    whole, parts, other = (
        gradients(trainer(model, samples, method="full", min_snr=None, flip=True, noise_offset=0.1, **size))
        for size in ({"batch": 8}, {"batch": 4, "accumulation": 2}, {"batch": 4})
    )
    assert torch.allclose(whole, parts, atol=1e-6 * float(whole.norm()))
    assert not torch.allclose(whole, other, atol=1e-2 * float(whole.norm()))


def test_accumulated_updates_end_in_the_same_weights(base: Path, samples: Samples, tmp_path: Path) -> None:
    whole = weights_after(base, samples, tmp_path / "whole", batch=8, min_snr=5.0)
    parts = weights_after(base, samples, tmp_path / "parts", batch=4, accumulation=2, min_snr=5.0)
    assert whole.keys() == parts.keys()
    assert all(torch.allclose(whole[name], parts[name], atol=2e-4) for name in whole)


def test_presentations_count_batches_and_their_accumulation() -> None:
    assert FinetuneOptions(steps=10, batch=4, accumulation=3).presentations == 120


@pytest.mark.parametrize("text_encoder", [False, True])
def test_checkpointing_computes_the_same_and_keeps_less(model: Path, samples: Samples, text_encoder: bool) -> None:
    kept, found = [], []
    for checkpointing in (False, True):
        made = trainer(model, samples, method="full", checkpointing=checkpointing, text_encoder=text_encoder)
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            found.append(gradients(made))
        parameters = {parameter.data_ptr() for parameter in made.parameters}
        kept.append(sum(size for place, size in sizes.items() if place not in parameters))
    assert torch.allclose(found[0], found[1], atol=1e-5)
    assert kept[1] < 0.8 * kept[0]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_learns_nearly_the_same(model: Path, samples: Samples, precision: Any) -> None:
    exact = gradients(trainer(model, samples, method="full"))
    made = trainer(model, samples, method="full", precision=precision)
    seen: list[torch.dtype] = []
    layer = next(m for m in made.architecture.denoiser.modules() if isinstance(m, torch.nn.Linear))
    layer.register_forward_hook(lambda _module, _given, answer: seen.append(answer.dtype))
    rough = gradients(made) / made.scaler.get_scale()
    assert set(seen) == {torch.float16 if precision == "fp16" else torch.bfloat16}
    assert float(torch.nn.functional.cosine_similarity(exact, rough, dim=0)) > 0.98
    assert {p.dtype for p in made.parameters} == {torch.float32}


def test_fp16_scales_losses_and_passes_over_a_step_that_overflows(base: Path, samples: Samples) -> None:
    made = trainer(base, samples, precision="fp16")
    assert made.scaler.is_enabled() and made.scaler.get_scale() > 1
    made.step(0)
    before = [w.clone() for w in made.weights()]
    with torch.no_grad():
        made.scaler._scale.fill_(torch.finfo(torch.float32).max)  # type: ignore[union-attr]
    made.step(1)
    assert all(torch.equal(a, b) for a, b in zip(before, made.weights(), strict=True))
    assert made.scaler.get_scale() < torch.finfo(torch.float32).max
    assert not trainer(base, samples, precision="bf16").scaler.is_enabled()


# --- what is learned ------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_captions_are_emptied_at_their_rate(base: Path, samples: Samples, rate: float) -> None:
    made = trainer(base, samples, caption_dropout=rate, batch=200)
    said = [caption for step in range(5) for lesson in made.lessons(step) for caption in lesson.captions]
    assert said.count("") == pytest.approx(1000 * rate, abs=4 * (1000 * rate * (1 - rate)) ** 0.5 + 1e-9)
    assert set(said) <= {"", *(record.caption for record in samples)}
    assert torch.equal(made.texts([""])[0], made.architecture.embed([""])[0]), "the empty caption, not zeros"


def test_flips_are_seeded_and_of_every_other_picture(base: Path, samples: Samples) -> None:
    made, again, other = (trainer(base, samples, flip=True, seed=seed, batch=400) for seed in (1, 1, 2))
    first, second, third = (m._draw(0)[2] for m in (made, again, other))
    assert (first == second).all() and (first != third).any()
    assert first.mean() == pytest.approx(0.5, abs=0.1)
    assert (made._draw(1)[2] != first).any()
    plain = trainer(base, samples, seed=1, batch=400)._draw(0)
    assert not plain[2].any()
    assert (plain[0] == made._draw(0)[0]).all() and plain[1] == made._draw(0)[1], "all else is drawn alike"


@pytest.mark.parametrize("kept", [True, False], ids=["in-memory", "as-they-come"])
def test_a_flipped_latent_is_that_of_the_mirrored_picture(
    base: Path, samples: Samples, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from detect.training import samples as module

    if not kept:
        monkeypatch.setattr(module, "KEPT_SAMPLES", 0)
    latents = Latents(load_pipeline(base).vae, samples, 16, "cpu", mirrored=True)
    index, noise = np.array([3, 3]), torch.zeros(2, 4, 8, 8)
    plain, mirrored = latents(index, noise, np.array([False, True]))
    picture = module.read_picture(samples[3].read(), 16)
    expected = latents._encode([picture[:, ::-1].copy()])[0, 0] * latents.vae.config.scaling_factor
    assert torch.allclose(mirrored, expected, atol=1e-5)
    assert not torch.allclose(mirrored, plain, atol=1e-2)


def test_the_noise_offset_is_one_value_a_channel(base: Path, samples: Samples) -> None:
    noises = []
    for offset in (0.0, 0.3):
        made = trainer(base, samples, noise_offset=offset, batch=100)
        (lesson,) = made.lessons(0)
        kept = made.architecture.scheduler.alphas_cumprod[lesson.times].view(-1, 1, 1, 1)
        # velocity and noisy latents tell noise and latents apart
        noises.append(kept.sqrt() * lesson.target + (1 - kept).sqrt() * lesson.noisy)
    added = noises[1] - noises[0]
    assert float(added.std(dim=(2, 3)).max()) < 1e-4
    assert float(added.mean(dim=(2, 3)).std()) == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ("prediction", "weight"),
    [
        ("sample", lambda snr, gamma: min(snr, gamma)),
        ("epsilon", lambda snr, gamma: min(snr, gamma) / snr if snr else 1.0),
        ("v_prediction", lambda snr, gamma: min(snr, gamma) / (snr + 1)),
    ],
)
def test_min_snr_weights_are_those_of_the_paper(
    tmp_path: Path, samples: Samples, prediction: str, weight: Callable[[float, float], float]
) -> None:
    """Hang et al., arXiv 2303.09556, §3.3 and §3.4: SNR = alpha² / sigma²."""
    base = build(tmp_path / "base", prediction=prediction)
    made = trainer(base, samples, min_snr=5.0, batch=64)
    (lesson,) = made.lessons(0)
    assert lesson.weights is not None
    times = torch.tensor([0, 1, 50, 300, 700, 998, 999])
    found = made.architecture.loss_weights(times, 5.0)
    kept = [float(made.architecture.scheduler.alphas_cumprod[time]) for time in times]
    assert found.tolist() == pytest.approx([weight(a / (1 - a), 5.0) for a in kept], rel=1e-3, abs=1e-6)
    assert torch.equal(lesson.weights, made.architecture.loss_weights(lesson.times, 5.0))


def test_weights_multiply_the_squared_errors(base: Path, samples: Samples) -> None:
    plain, weighted = (trainer(base, samples, min_snr=gamma, batch=32) for gamma in (None, 5.0))
    (lesson,), (again,) = plain.lessons(0), weighted.lessons(0)
    assert torch.equal(lesson.noisy, again.noisy) and lesson.weights is None and again.weights is not None
    with torch.no_grad():
        answer = plain.architecture.predict(lesson.noisy, lesson.times, plain.texts(lesson.captions))
    errors = (answer - lesson.target).pow(2).mean(dim=(1, 2, 3))
    assert plain._learn(lesson) == pytest.approx(float(errors.mean()), rel=1e-4)
    assert weighted._learn(again) == pytest.approx(float((errors * again.weights).mean()), rel=1e-4)


@pytest.mark.parametrize("made", [build_transformer, build_flux], ids=["sd3", "flux"])
def test_flow_matching_has_no_min_snr(made: Callable[[Path], Path], samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="flow matching"):
        trainer(made(tmp_path / "model"), samples, min_snr=5.0)


# --- LoRA and optimizer ---------------------------------------------------------------------------


def test_alpha_is_in_the_weights_that_are_saved(model: Path, samples: Samples, tmp_path: Path) -> None:
    """What was trained at scale alpha / rank is what a reader gets who knows no alpha."""
    made = trainer(model, samples, rank=4, alpha=2.0)
    made.step(0)
    (tmp_path / "lora").mkdir()
    made.save(tmp_path / "lora")
    saved = load_file(tmp_path / "lora" / LORA)
    assert not any("alpha" in name for name in saved)
    layers = {n: m for n, m in made.architecture.denoiser.named_modules() if hasattr(m, "lora_A")}
    changes: list[torch.Tensor] = []
    for name, layer in layers.items():
        stem = f"{made.architecture.denoiser_name}.{name}"
        read = saved[f"{stem}.lora_B.weight"] @ saved[f"{stem}.lora_A.weight"]
        changes.append(layer.get_delta_weight("default").detach())
        assert torch.allclose(read, changes[-1], atol=1e-6)
    assert max(float(change.abs().max()) for change in changes) > 0


def test_a_smaller_alpha_learns_less(base: Path, samples: Samples, tmp_path: Path) -> None:
    def change(**more: Any) -> float:
        made = trainer(base, samples, rank=4, **more)
        for step in range(3):
            made.step(step)
        layers = [m for m in made.architecture.denoiser.modules() if hasattr(m, "lora_A")]
        return sum(float(layer.get_delta_weight("default").detach().norm()) for layer in layers)

    assert change(alpha=1.0) < 0.5 * change(alpha=4.0)
    assert change(alpha=4.0) == change()


def test_eight_bit_adam_holds_its_state_in_bytes_and_resumes(base: Path, samples: Samples, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    options = replace(TINY, method="full", learning_rate=1e-3, optimizer="adamw8bit", size=16)
    made = Trainer(base, samples, options, "cpu")
    for step in range(2):
        made.step(step)
    kinds = {state["state1"].dtype for state in made.optimizer.state.values()}
    assert torch.uint8 in kinds
    finetune(base, samples, tmp_path / "whole", options)

    class Killed(BaseException):
        pass

    def kill(step: int, steps: int, loss: float) -> None:
        if step == 3:
            raise Killed

    with pytest.raises(Killed):
        finetune(base, samples, tmp_path / "broken", options, progress=kill, checkpoint_every=2)
    finetune(base, samples, tmp_path / "broken", options)
    file = "unet/diffusion_pytorch_model.safetensors"
    whole, broken = (load_file(tmp_path / name / file) for name in ("whole", "broken"))
    assert all(torch.allclose(whole[key], broken[key], atol=1e-5) for key in whole)
    plain = load_file(base / file)
    assert not all(torch.equal(whole[key], plain[key]) for key in whole)


def test_an_optimizer_that_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detect.training.options.find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs bitsandbytes") as refusal:
        replace(TINY, optimizer="adamw8bit").check()
    assert 'pip install "tracemark[adam8bit]"' in refusal.value.advice


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0.0},
        {"accumulation": 0},
        {"caption_dropout": 1.5},
        {"min_snr": 0.0},
        {"noise_offset": -1.0},
        {"size": 4},
    ],
)
def test_impossible_values(change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Allowed"):
        replace(TINY, **change).check()


def test_another_resolution(base: Path, samples: Samples) -> None:
    made = Trainer(base, samples, replace(TINY, size=24), "cpu")
    (lesson,) = made.lessons(0)
    assert lesson.noisy.shape[2:] == (12, 12)
    assert architecture_of(load_pipeline(base), base).grid == 2
