"""Pipeline folders: loaded whole, or refused in two lines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from detect.suspects.images import Query, Sampler, load_suspect, stacked
from detect.suspects.images.pipeline import PipelineSuspect
from protect.errors import SuspectError
from tests.support.models import build
from tests.support.weights import QUERIES, SAMPLER, UNET, edit, refusal


def test_pictures_depend_on_their_own_query_only(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    suspect = load_suspect(base)
    together = stacked(suspect.answer(QUERIES, SAMPLER))
    alone = np.concatenate([stacked(suspect.answer([query], SAMPLER)) for query in QUERIES])
    assert together.shape == (5, 16, 16, 3)
    assert together.dtype == np.uint8
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert len(np.unique(together.reshape(5, -1), axis=0)) == 5
    assert capfd.readouterr() == ("", "")


def test_more_queries_than_a_batch_keep_their_order(base: Path) -> None:
    suspect = load_suspect(base)
    many = [Query("same", i) for i in range(35)]
    pictures = stacked(suspect.answer(many, Sampler(steps=1)))
    assert np.abs(pictures[34].astype(int) - stacked(suspect.answer(many[34:], Sampler(steps=1)))[0]).max() <= 1


def test_size_guidance_and_steps_are_obeyed(base: Path) -> None:
    suspect = load_suspect(base)
    assert stacked(suspect.answer(QUERIES[:1], Sampler(steps=1, size=32))).shape == (1, 32, 32, 3)
    weak, strong = (stacked(suspect.answer(QUERIES[:1], Sampler(steps=2, guidance=g))) for g in (1.0, 9.0))
    assert (weak != strong).any()
    assert Sampler().as_dict() == {"steps": 20, "guidance": 3.0, "size": None}


def test_half_precision_weights_load_as_float32(tmp_path: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    suspect = load_suspect(build(tmp_path / "half", dtype=torch.float16))
    assert suspect.identity["precision"] == "float32"
    full = plain
    assert np.abs(stacked(suspect.answer(QUERIES, SAMPLER)).astype(int) - full).mean() < 2


def test_a_variant_only_folder_loads(copy: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    for path in list(copy.glob("*/*.safetensors")):
        path.rename(path.with_name(path.stem + ".fp16.safetensors"))
    assert (stacked(load_suspect(copy).answer(QUERIES, SAMPLER)) == plain).all()


def test_identity_follows_weights_and_scheduler(base: Path, copy: Path) -> None:
    original, same = load_suspect(base).identity, load_suspect(copy).identity
    assert original == same
    assert {"weights", "scheduler", "torch", "diffusers", "transformers", "peft"} <= original.keys()
    edit(copy / UNET, lambda tensors: tensors | {"conv_in.bias": tensors["conv_in.bias"] + 1e-3})
    assert load_suspect(copy).identity["weights"] != original["weights"]


def test_missing_path(tmp_path: Path) -> None:
    assert "no such file or folder" in refusal(tmp_path / "nothing")


def test_folder_that_is_no_pipeline(tmp_path: Path) -> None:
    assert "no model_index.json" in refusal(tmp_path)


def test_base_for_a_whole_pipeline(base: Path) -> None:
    assert "Drop --base" in refusal(base, base=base)


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_broken_model_index(copy: Path, text: str) -> None:
    (copy / "model_index.json").write_text(text)
    assert "model_index.json" in refusal(copy)


@pytest.mark.parametrize(
    "place",
    [
        "offset_example.safetensors",
        "pytorch_lora_weights.bin",
        "unet/pytorch_lora_weights.safetensors",
        "unet_ema/diffusion_pytorch_model.safetensors",
        "text_encoder/learned_embeds.safetensors",
        "loras/style.safetensors",
    ],
)
def test_weights_beside_a_pipeline_are_not_passed_over(copy: Path, lora: Path, place: str) -> None:
    (copy / place).parent.mkdir(exist_ok=True)
    shutil.copy(lora, copy / place)
    message = refusal(copy)
    assert place in message and "--pipeline-only" in message
    alone = load_suspect(copy, alone=True)
    assert isinstance(alone, PipelineSuspect) and alone.notes == (f"passed over in its folder: {place}",)


def test_settings_that_a_loader_would_follow_are_not_passed_over(copy: Path) -> None:
    (copy / "unet" / "adapter_config.json").write_text("{}")
    assert "unet/adapter_config.json" in refusal(copy)


def test_a_lora_beside_a_pipeline_can_be_added(copy: Path, lora: Path, lora_pictures: NDArray[np.uint8]) -> None:
    beside = Path(shutil.copy(lora, copy / "offset_example.safetensors"))
    both = load_suspect([copy, beside])
    assert (stacked(both.answer(QUERIES, SAMPLER)) == lora_pictures).all()
    assert both.name == "copy + offset_example.safetensors"


def test_states_that_a_trainer_left_are_named(copy: Path) -> None:
    shutil.copytree(copy / "unet", copy / "checkpoint-500" / "unet")
    suspect = load_suspect(copy)
    assert isinstance(suspect, PipelineSuspect) and suspect.notes == ("passed over in its folder: checkpoint-500",)


def test_adapter_weights_inside_a_component_are_not_passed_over(copy: Path) -> None:
    edit(copy / UNET, lambda tensors: {**tensors, "down_blocks.0.lora_A.weight": torch.zeros(2, 2)})
    assert "would not be applied" in refusal(copy)


def test_a_tokenizer_without_words_and_a_scheduler_of_no_kind(copy: Path) -> None:
    (copy / "scheduler" / "scheduler_config.json").write_text("{}")
    assert "scheduler" in refusal(copy)
    for file in (copy / "tokenizer").iterdir():
        file.unlink()
    assert "tokenizer" in refusal(copy)


def test_several_loras_are_named(lora: Path, base: Path, tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        shutil.copy(lora, tmp_path / name)
    assert "one.safetensors, two.safetensors" in refusal(tmp_path, base=base)
    assert "neither" in refusal(Path("/dev/null"), base=base)


def test_missing_component(copy: Path) -> None:
    shutil.rmtree(copy / "vae")
    assert "lacks vae/" in refusal(copy)


def test_component_without_weights(copy: Path) -> None:
    (copy / UNET).unlink()
    assert "holds no weights" in refusal(copy)


@pytest.mark.parametrize("part", [UNET, "vae/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
def test_weights_that_would_be_random_are_named(copy: Path, part: str) -> None:
    lost = sorted(load_file(copy / part))[3]
    edit(copy / part, lambda tensors: {k: v for k, v in tensors.items() if k != lost})
    message = refusal(copy)
    assert "1 of" in message
    assert lost.split(".", 2)[-1] in message


def test_folder_saved_with_an_injected_adapter(copy: Path) -> None:
    def inject(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k.replace("to_q.weight", "to_q.base_layer.weight"): v for k, v in tensors.items()} | {
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default.weight": torch.ones(4, 64)
        }

    edit(copy / UNET, inject)
    message = refusal(copy)
    assert "to_q.weight" in message
    assert "fuse_lora()" in message


def test_weights_renamed_by_the_loader_are_not_refused(copy: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    """Old autoencoders call to_q "query"; diffusers renames it, and so must the check."""
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        for new, old in names.items():
            tensors = {k.replace(f"attentions.0.{new}.", f"attentions.0.{old}."): v for k, v in tensors.items()}
        return tensors

    edit(copy / "vae/diffusion_pytorch_model.safetensors", rename)
    assert (stacked(load_suspect(copy).answer(QUERIES, SAMPLER)) == plain).all()


@pytest.mark.parametrize("keep", [5, 3000, -7])
def test_truncated_weights(copy: Path, keep: int) -> None:
    (copy / UNET).write_bytes((copy / UNET).read_bytes()[:keep])
    assert "truncated" in refusal(copy)


def test_weights_of_another_shape(copy: Path) -> None:
    edit(copy / UNET, lambda tensors: tensors | {"conv_in.weight": torch.ones(8, 4, 3, 3)})
    assert "cannot be loaded" in refusal(copy)


def test_pickled_pipeline_needs_permission(copy: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    torch.save(load_file(copy / UNET), copy / "unet/diffusion_pytorch_model.bin")
    (copy / UNET).unlink()
    assert "--allow-pickle" in refusal(copy)
    allowed = load_suspect(copy, allow_pickle=True)
    assert (stacked(allowed.answer(QUERIES, SAMPLER)) == plain).all()


def test_unknown_device(base: Path) -> None:
    assert "--device cpu" in refusal(base, device="abacus")


def test_nan_weights_are_no_black_pictures(copy: Path) -> None:
    edit(copy / UNET, lambda tensors: tensors | {"conv_in.bias": tensors["conv_in.bias"] * float("nan")})
    with pytest.raises(SuspectError, match="NaN"):
        load_suspect(copy).answer(QUERIES, SAMPLER)


def test_black_pictures_are_returned(copy: Path) -> None:
    def darken(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return tensors | {"decoder.conv_out.bias": torch.full((3,), -100.0)}

    edit(copy / "vae/diffusion_pytorch_model.safetensors", darken)
    assert not stacked(load_suspect(copy).answer(QUERIES, SAMPLER)).any()


def test_impossible_sampler(base: Path) -> None:
    with pytest.raises(SuspectError, match="divisible by 8"):
        load_suspect(base).answer(QUERIES, Sampler(size=13))


def test_no_queries(base: Path) -> None:
    with pytest.raises(SuspectError, match="no queries"):
        load_suspect(base).answer([], SAMPLER)


def test_names_in_the_index_are_no_guide_to_random_weights(copy: Path) -> None:
    """An unknown component class is refused, not skipped."""
    index = json.loads((copy / "model_index.json").read_text())
    index["unet"] = ["diffusers", "NoSuchModel"]
    (copy / "model_index.json").write_text(json.dumps(index))
    assert "cannot be loaded" in refusal(copy)
