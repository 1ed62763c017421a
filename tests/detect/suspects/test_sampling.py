"""How pipelines are asked, what distilled models were made for, and how they are kept in memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from detect.suspects.images.folder import load_pipeline
from detect.suspects.images.memory import batch_for, decode_apart, memory_to_draw, precision_for
from detect.suspects.images.pipeline import PipelineSuspect
from detect.suspects.images.sampling import arguments, propose
from detect.suspects.images.windows import reaches, windows
from protect.errors import SuspectError
from tests.support.flow import build_flux, build_xl
from tests.support.transformers import build_transformer
from tests.support.weights import QUERIES, SAMPLER, refusal

UNTYPED: Any = diffusers


def on_paper(kind: str, **parts: Any) -> Any:
    """A pipeline's class without any weights."""
    pipeline = object.__new__(getattr(diffusers, kind))
    pipeline.__dict__ |= {"scheduler": UNTYPED.FlowMatchEulerDiscreteScheduler(), **parts}
    object.__setattr__(pipeline, "_internal_dict", diffusers.configuration_utils.FrozenDict(parts.pop("config", {})))
    return pipeline


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("StableDiffusionPipeline", {"guidance_scale": 5.0}),
        ("FluxPipeline", {"guidance_scale": 5.0}),
        ("QwenImagePipeline", {"true_cfg_scale": 5.0, "negative_prompt": [" ", " "]}),
        ("StableCascadeCombinedPipeline", {"prior_guidance_scale": 5.0}),
    ],
)
def test_guidance_by_its_name_in_each_class(kind: str, expected: dict[str, object]) -> None:
    given = arguments(on_paper(kind), Sampler(steps=7, guidance=5.0), 2)
    assert given == {"num_inference_steps": 7, "output_type": "np"} | expected


def test_negative_prompts() -> None:
    sampler = Sampler(negative="blurry")
    assert arguments(on_paper("QwenImagePipeline"), sampler, 1)["negative_prompt"] == ["blurry"]
    with pytest.raises(SuspectError, match="takes no negative_prompt"):
        arguments(on_paper("LatentConsistencyModelPipeline"), sampler, 1)


def scheduled(scheduler: Any, **config: object) -> Any:
    return SimpleNamespace(scheduler=scheduler, unet=SimpleNamespace(config=config), config={})


@pytest.mark.parametrize(
    ("pipeline", "steps", "guidance", "reason"),
    [
        (scheduled(UNTYPED.LCMScheduler()), 4, 1.0, "LCMScheduler"),
        (scheduled(UNTYPED.LCMScheduler(), time_cond_proj_dim=256), 4, 8.0, "LCMScheduler"),
        (scheduled(UNTYPED.EulerDiscreteScheduler(timestep_spacing="trailing")), 4, 1.0, "trailing"),
        (on_paper("FluxPipeline", transformer=SimpleNamespace(config={"guidance_embeds": False})), 4, 1.0, "schnell"),
        (on_paper("Flux2KleinPipeline", config={"is_distilled": True}), 4, 1.0, "distilled"),
    ],
)
def test_distilled_models_are_recognised(pipeline: Any, steps: int, guidance: float, reason: str) -> None:
    found = propose(pipeline)
    assert found is not None and (found.steps, found.guidance) == (steps, guidance) and reason in found.reason
    assert found.against(Sampler(steps, guidance)) == ""
    assert f"--steps {steps} --guidance {guidance:g}" in found.against(Sampler(20, 12.0))


def test_names_of_distilled_models() -> None:
    usual = scheduled(UNTYPED.DDIMScheduler())
    assert propose(usual) is None and propose(usual, ["turboprop-photos"]) is None
    for name in ("sdxl-lightning_8step", "pytorch_lora_lcm.safetensors", "Z-Image-Turbo", "Hyper-SD15-8steps"):
        found = propose(usual, ["style", name])
        assert found is not None and found.steps == 8


def test_a_distilled_suspect_says_so(tmp_path: Path) -> None:
    suspect = load_suspect(build_flux(tmp_path / "flux"))
    assert isinstance(suspect, PipelineSuspect) and suspect.proposal is not None
    assert stacked(suspect.answer(QUERIES[:2], Sampler(steps=2, size=16))).shape == (2, 16, 16, 3)


def test_each_encoder_says_how_far_it_reads(tmp_path: Path, base: Path) -> None:
    xl = load_pipeline(build_xl(tmp_path / "xl"))
    assert reaches(xl, "a" * 40) == {"tokenizer": 14, "tokenizer_2": 14}
    assert reaches(load_pipeline(base), "short") == {"tokenizer": 5}
    assert windows(xl) == {"text_encoder": 16, "text_encoder_2": 16}


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 12.0), ("float32", 0.0)])
def test_precision(base: Path, dtype: str, tolerance: float) -> None:
    full = stacked(load_suspect(base).answer(QUERIES, SAMPLER)).astype(int)
    suspect = load_suspect(base, dtype=dtype)
    assert suspect.identity["precision"] == dtype
    assert np.abs(stacked(suspect.answer(QUERIES, SAMPLER)) - full).mean() <= tolerance


def test_t5_keeps_what_its_library_wants_in_float32(tmp_path: Path) -> None:
    pipeline = load_pipeline(build_flux(tmp_path / "flux"), dtype=torch.float16)
    block = pipeline.text_encoder_2.encoder.block[0].layer[1].DenseReluDense
    assert block.wo.weight.dtype == torch.float32 and pipeline.transformer.dtype == torch.float16


def test_precision_is_chosen_by_device_and_kind() -> None:
    unet, transformer = {"unet": ["diffusers", "X"]}, {"transformer": ["diffusers", "X"]}
    assert precision_for("auto", "cpu", unet) == torch.float32
    assert precision_for("auto", "cuda", unet) == torch.float16
    assert precision_for("auto", "cuda", transformer) == torch.bfloat16
    assert precision_for("float32", "cuda", unet) == torch.float32
    with pytest.raises(SuspectError, match="abacus"):
        precision_for("auto", "abacus", unet)


def test_batches_fit_into_memory() -> None:
    gib = 2**30
    assert batch_for(64, torch.float32, 1 * gib, 9 * gib) == 32, "small pictures are drawn alike everywhere"
    assert batch_for(1024, torch.float16, 24 * gib, 7 * gib) == 2
    assert batch_for(1024, torch.float16, 80 * gib, 7 * gib) == 16
    assert batch_for(1024, torch.float16, 8 * gib, 7 * gib) == 1, "at least one is tried"
    assert batch_for(512, torch.float16, 24 * gib, 2 * gib) == 16
    sizes = [batch_for(1024, torch.bfloat16, memory * gib, 24 * gib) for memory in range(20, 200, 10)]
    assert sizes == sorted(sizes) and sizes[-1] == 32


@pytest.mark.parametrize("side", [512, 1024, 1536])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_is_the_largest_that_fits_beside_the_weights(side: int, dtype: torch.dtype) -> None:
    weights = 7 * 2**30
    for memory in range(40, 400, 7):
        room = 0.9 * memory * 2**30 - weights
        batch = batch_for(side, dtype, memory * 2**30, weights)
        assert memory_to_draw(side, dtype, batch) <= room or batch == 1
        assert batch == 32 or memory_to_draw(side, dtype, 2 * batch) > room


def test_batches_by_hand_give_the_same_pictures(base: Path) -> None:
    many = [Query(f"picture {i}", i) for i in range(7)]
    one, three = (stacked(load_suspect(base, batch=size).answer(many, SAMPLER)).astype(int) for size in (1, 3))
    assert np.abs(one - three).max() <= 1


def test_large_pictures_are_decoded_apart(base: Path) -> None:
    pipeline = load_pipeline(base)
    for side, sliced, tiled in ((64, False, False), (512, True, False), (2048, True, True), (512, True, False)):
        decode_apart(pipeline, side)
        assert (pipeline.vae.use_slicing, pipeline.vae.use_tiling) == (sliced, tiled)


def test_offload_needs_an_accelerator(base: Path) -> None:
    assert "--device cuda" in refusal(base, offload="model")


def test_a_third_encoder_left_out_is_no_fault(tmp_path: Path) -> None:
    suspect = load_suspect(build_transformer(tmp_path / "sd3"))
    assert stacked(suspect.answer(QUERIES[:1], SAMPLER)).shape == (1, 16, 16, 3)
