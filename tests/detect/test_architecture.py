"""Fine-tuning a transformer: the same promises as for a UNet, and the short cut for its empty text tokens."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from detect.suspects.images.folder import load_pipeline
from detect.training.architecture import architecture_of
from detect.training.architecture.joint_attention import JointAttention, attend
from detect.training.architecture.stable_diffusion import StableDiffusion
from detect.training.architecture.stable_diffusion_3 import StableDiffusion3
from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from protect.errors import InputError
from protect.formats.record import Record
from tests.support.models import TOKENS
from tests.support.transformers import CHANNELS, build_transformer

Samples = list[Record]
TINY = FinetuneOptions(rank=2, steps=2, batch=4, learning_rate=2e-2, targets="attention", precision="fp32")
LORA = "pytorch_lora_weights.safetensors"
QUERIES = [Query("picture 1", 1), Query("picture 2", 2)]
CAPTIONS = ["a red bus", "", "something that is much too long for the window"]


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny transformer; never written to."""
    return build_transformer(tmp_path_factory.mktemp("transformer") / "tiny")


def drawn(suspect: Path, base: Path | None = None) -> np.ndarray:
    return stacked(load_suspect(suspect, base=base).answer(QUERIES, Sampler(steps=2)))


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [TINY, replace(TINY, targets="all"), replace(TINY, text_encoder=True), replace(TINY, precision="bf16")],
    ids=["attention", "all", "text-encoder", "bf16"],
)
def test_a_lora_round_trip(transformer: Path, samples: Samples, tmp_path: Path, options: FinetuneOptions) -> None:
    output = tmp_path / "lora"
    assert finetune(transformer, samples, output, options) == ()
    assert (drawn(output, transformer) != drawn(transformer)).any()
    names = load_file(output / LORA).keys()
    assert any(".ff." in name for name in names) == (options.targets == "all")
    assert any("add_k_proj" in name for name in names)
    for encoder in ("text_encoder.", "text_encoder_2."):
        assert any(name.startswith(encoder) for name in names) == options.text_encoder


@pytest.mark.parametrize("text_encoder", [False, True])
def test_a_full_fine_tune_is_a_pipeline_of_its_own(
    transformer: Path, samples: Samples, tmp_path: Path, text_encoder: bool
) -> None:
    output = tmp_path / "full"
    options = replace(TINY, method="full", learning_rate=1e-3, text_encoder=text_encoder)
    finetune(transformer, samples, output, options)
    assert (drawn(output) != drawn(transformer)).any()
    for name in ("text_encoder", "text_encoder_2"):
        before, after = (load_file(p / name / "model.safetensors") for p in (transformer, output))
        assert all(torch.equal(before[key], after[key]) for key in before) is not text_encoder
    for path in [*output.glob("*.json"), *output.glob("*/*config.json")]:
        assert str(transformer) not in path.read_text()


def test_the_loss_falls(transformer: Path, samples: Samples, tmp_path: Path) -> None:
    losses: list[float] = []
    options = replace(TINY, method="full", learning_rate=5e-3, steps=30, batch=10)
    finetune(transformer, samples, tmp_path / "out", options, progress=lambda *args: losses.append(args[2]))
    assert np.mean(losses[-8:]) < 0.8 * np.mean(losses[:8])


def test_same_seed_same_bytes(transformer: Path, samples: Samples, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(ord(name))
        finetune(transformer, samples, tmp_path / name, replace(TINY, seed=seed))
    first, second, third = ((tmp_path / name / LORA).read_bytes() for name in "abc")
    assert first == second != third


def test_pictures_must_fill_whole_patches(transformer: Path, samples: Samples, tmp_path: Path) -> None:
    finetune(transformer, samples, tmp_path / "out", replace(TINY, size=8, steps=1))
    with pytest.raises(InputError, match="multiple of 4"):
        finetune(transformer, samples, tmp_path / "out2", replace(TINY, size=18))


# --- the architecture -----------------------------------------------------------------------------


def test_each_pipeline_finds_its_architecture(base: Path, transformer: Path, tmp_path: Path) -> None:
    assert type(architecture_of(load_pipeline(base), base)) is StableDiffusion
    assert type(architecture_of(load_pipeline(transformer), transformer)) is StableDiffusion3
    shutil.copytree(transformer, tmp_path / "one")
    index = json.loads((tmp_path / "one/model_index.json").read_text())
    index["text_encoder_2"] = index["tokenizer_2"] = [None, None]
    (tmp_path / "one/model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="StableDiffusion3Pipeline"):
        architecture_of(load_pipeline(tmp_path / "one"), tmp_path / "one")


def test_one_empty_token_stands_for_all_of_them(transformer: Path) -> None:
    """Training sees what sampling sees: the pipeline's own long call gives the same answer."""
    pipeline = load_pipeline(transformer)
    generator = torch.Generator().manual_seed(3)
    noisy, times = torch.randn(3, CHANNELS, 8, 8, generator=generator), torch.tensor([10.0, 500.0, 990.0])
    with torch.no_grad():
        states, _, pooled, _ = pipeline.encode_prompt(CAPTIONS, None, None, do_classifier_free_guidance=False)
        long = pipeline.transformer(noisy, states, pooled, times).sample
        model = architecture_of(pipeline, transformer)
        short_states, short_pooled = model.embed(CAPTIONS)
        short = model.predict(noisy, times, (short_states, short_pooled))
        pipeline.transformer.set_attn_processor(JointAttention())
        without = model.predict(noisy, times, (short_states, short_pooled))
    assert states.shape[1] == TOKENS + 256 and short_states.shape[1] == TOKENS + 1
    assert torch.allclose(short, long, atol=1e-5)
    assert not torch.allclose(without, long, atol=1e-3), "the count matters"


def test_both_ways_to_attend_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 2, 2, 5, 8, generator=generator)
    bias = torch.tensor([0.0, 0.0, 0.0, 0.0, 2.0])
    exact = attend(query, key, value, bias)
    rough = attend(query.bfloat16(), key.bfloat16(), value.bfloat16(), bias.bfloat16())
    assert rough.dtype == torch.bfloat16
    assert torch.allclose(exact, rough.float(), atol=0.05)


@pytest.mark.parametrize("shift", [1.0, 3.0])
def test_noise_and_target_lie_on_one_line(transformer: Path, shift: float) -> None:
    pipeline: Any = load_pipeline(transformer)
    pipeline.scheduler.register_to_config(shift=shift)
    model = StableDiffusion3(pipeline)
    generator = torch.Generator().manual_seed(1)
    latents, noise = torch.randn(2, 500, CHANNELS, 2, 2, generator=generator)
    times = model.draw_times(latents, generator)
    noisy, target = model.mix(latents, noise, times)
    share = (times / 1000)[:, None, None, None]
    assert torch.allclose(noisy, latents + share * target, atol=1e-5)
    u = times.double() / 1000
    unshifted = u / (shift - (shift - 1) * u)
    assert float(unshifted.median()) == pytest.approx(0.5, abs=0.03), "logit-normal about one half"


def test_latents_are_shifted_as_the_pipeline_undoes_it(samples: Samples, tmp_path: Path) -> None:
    from detect.training.samples import Latents

    found = []
    for shift in (None, 0.25):
        path = build_transformer(tmp_path / f"shift-{shift}", shift=shift)
        latents = Latents(load_pipeline(path).vae, samples, 16, "cpu")
        found.append(latents(np.arange(3), torch.zeros(3, CHANNELS, 8, 8)) / latents.vae.config.scaling_factor)
    assert torch.allclose(found[0] - 0.25, found[1], atol=1e-5)
