from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from detect.suspects.images import Query, Sampler, load_suspect
from protect.errors import SuspectError
from tests.support.models import build

QUERIES = [Query(f"picture {i}", i) for i in range(5)]
SAMPLER = Sampler(steps=2)
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def plain(base: Path) -> NDArray[np.uint8]:
    """What the base draws."""
    return load_suspect(base).generate(QUERIES, SAMPLER)


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of random values on linear and convolution layers and the text encoder, in diffusers format."""
    tensors = {}
    generator = torch.Generator().manual_seed(5)
    for part, file in (("unet", UNET), ("text_encoder", "text_encoder/model.safetensors")):
        for name, weight in load_file(base / file).items():
            wide = part == "unet" and name.startswith(("down_blocks", "mid_block")) and weight.ndim > 1
            if wide or "_proj.weight" in name:
                stem = f"{part}.{name.removesuffix('.weight')}"
                down = (4, *weight.shape[1:])
                up = (weight.shape[0], 4) + (1, 1) * (weight.ndim == 4)
                tensors[f"{stem}.lora_A.weight"] = torch.randn(down, generator=generator) * 0.1
                tensors[f"{stem}.lora_B.weight"] = torch.randn(up, generator=generator) * 0.1
    path = tmp_path_factory.mktemp("lora") / "style.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def lora_pictures(base: Path, lora: Path) -> NDArray[np.uint8]:
    """What the base draws with the LoRA."""
    return load_suspect(lora, base=base).generate(QUERIES, SAMPLER)


def edit(
    path: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]], to: Path | None = None
) -> Path:
    """Rewrite a safetensors file through `change`."""
    target = to or path
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    save_file({k: v.contiguous() for k, v in change(tensors).items()}, target, metadata={"format": "pt"})
    return target


def kohya(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same LoRA under Kohya's names, with alphas."""
    renamed = {}
    for name, tensor in tensors.items():
        module, _, half = name.removesuffix(".weight").rpartition(".lora_")
        module = module.replace("text_encoder.", "lora_te_").replace("unet.", "lora_unet_").replace(".", "_")
        renamed[f"{module}.lora_{'down' if half == 'A' else 'up'}.weight"] = tensor
        renamed[f"{module}.alpha"] = torch.tensor(4.0)
    return renamed


def refusal(*args: object, **kwargs: object) -> str:
    """The message of load_suspect's refusal: two lines, the second an advice."""
    with pytest.raises(SuspectError) as caught:
        load_suspect(*args, **kwargs)  # type: ignore[arg-type]
    message = str(caught.value)
    assert len(message.splitlines()) == 2
    return message


# --- pipelines ------------------------------------------------------------------------------------


def test_pictures_depend_on_their_own_query_only(base: Path, capfd: pytest.CaptureFixture[str]) -> None:
    suspect = load_suspect(base)
    together = suspect.generate(QUERIES, SAMPLER)
    alone = np.concatenate([suspect.generate([query], SAMPLER) for query in QUERIES])
    assert together.shape == (5, 16, 16, 3)
    assert together.dtype == np.uint8
    assert np.abs(together.astype(int) - alone).max() <= 1
    assert len(np.unique(together.reshape(5, -1), axis=0)) == 5
    assert capfd.readouterr() == ("", "")


def test_more_queries_than_a_batch_keep_their_order(base: Path) -> None:
    suspect = load_suspect(base)
    many = [Query("same", i) for i in range(35)]
    pictures = suspect.generate(many, Sampler(steps=1))
    assert np.abs(pictures[34].astype(int) - suspect.generate(many[34:], Sampler(steps=1))[0]).max() <= 1


def test_size_guidance_and_steps_are_obeyed(base: Path) -> None:
    suspect = load_suspect(base)
    assert suspect.generate(QUERIES[:1], Sampler(steps=1, size=32)).shape == (1, 32, 32, 3)
    weak, strong = (suspect.generate(QUERIES[:1], Sampler(steps=2, guidance=g)) for g in (1.0, 9.0))
    assert (weak != strong).any()
    assert Sampler().as_dict() == {"steps": 20, "guidance": 3.0, "size": None}


def test_half_precision_weights_load_as_float32(tmp_path: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    suspect = load_suspect(build(tmp_path / "half", dtype=torch.float16))
    assert suspect.identity["precision"] == "float32"
    full = plain
    assert np.abs(suspect.generate(QUERIES, SAMPLER).astype(int) - full).mean() < 2


def test_a_variant_only_folder_loads(copy: Path, base: Path, plain: NDArray[np.uint8]) -> None:
    for path in list(copy.glob("*/*.safetensors")):
        path.rename(path.with_name(path.stem + ".fp16.safetensors"))
    assert (load_suspect(copy).generate(QUERIES, SAMPLER) == plain).all()


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


def test_a_lora_beside_a_pipeline_is_not_passed_over(copy: Path, lora: Path) -> None:
    shutil.copy(lora, copy / "offset_example.safetensors")
    load_suspect(copy)
    for name in ("pytorch_lora_weights.bin", "pytorch_lora_weights.safetensors"):
        shutil.copy(lora, copy / name)
        assert f"LoRA beside it, {name}" in refusal(copy)
        (copy / name).unlink()


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
    assert (load_suspect(copy).generate(QUERIES, SAMPLER) == plain).all()


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
    assert (allowed.generate(QUERIES, SAMPLER) == plain).all()


def test_unknown_device(base: Path) -> None:
    assert "--device cpu" in refusal(base, device="abacus")


def test_nan_weights_are_no_black_pictures(copy: Path) -> None:
    edit(copy / UNET, lambda tensors: tensors | {"conv_in.bias": tensors["conv_in.bias"] * float("nan")})
    with pytest.raises(SuspectError, match="NaN"):
        load_suspect(copy).generate(QUERIES, SAMPLER)


def test_black_pictures_are_returned(copy: Path) -> None:
    def darken(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return tensors | {"decoder.conv_out.bias": torch.full((3,), -100.0)}

    edit(copy / "vae/diffusion_pytorch_model.safetensors", darken)
    assert not load_suspect(copy).generate(QUERIES, SAMPLER).any()


def test_impossible_sampler(base: Path) -> None:
    with pytest.raises(SuspectError, match="divisible by 8"):
        load_suspect(base).generate(QUERIES, Sampler(size=13))


def test_no_queries(base: Path) -> None:
    with pytest.raises(SuspectError, match="no queries"):
        load_suspect(base).generate([], SAMPLER)


# --- LoRA -----------------------------------------------------------------------------------------


def test_lora_changes_the_pictures_and_the_identity(
    base: Path, lora: Path, capfd: pytest.CaptureFixture[str], plain: NDArray[np.uint8]
) -> None:
    suspect = load_suspect(lora.parent, base=base)  # a folder with one file
    assert (suspect.generate(QUERIES, SAMPLER) != plain).any()
    assert {"adapter", "base"} <= suspect.identity.keys()
    assert suspect.identity["base"] == load_suspect(base).identity["weights"]
    assert capfd.readouterr() == ("", "")


def test_kohya_names_give_the_same_pictures(
    base: Path, lora: Path, lora_pictures: NDArray[np.uint8], tmp_path: Path
) -> None:
    renamed = load_suspect(edit(lora, kohya, tmp_path / "kohya.safetensors"), base=base)
    assert np.abs(renamed.generate(QUERIES, SAMPLER).astype(int) - lora_pictures).max() <= 1


def test_lora_without_base(lora: Path) -> None:
    assert "Add --base" in refusal(lora)


def test_lora_with_a_base_that_is_no_pipeline(lora: Path, tmp_path: Path) -> None:
    assert "model_index.json" in refusal(lora, base=tmp_path)
    assert "no such file" in refusal(lora, base=tmp_path / "nothing")


def test_lora_for_another_base(lora: Path, tmp_path: Path) -> None:
    message = refusal(lora, base=build(tmp_path / "wide", width=64))
    assert "another base" in message
    assert "--base" in message


def test_lora_keys_left_out_are_counted_and_named(base: Path, lora: Path, tmp_path: Path) -> None:
    extra = {f"unet.elsewhere.{i}.lora_{half}.weight": torch.ones(4, 4) for i in range(4) for half in "AB"}
    message = refusal(edit(lora, lambda tensors: tensors | extra, tmp_path / "extra.safetensors"), base=base)
    assert "8 of" in message
    assert "unet.elsewhere.0.lora_A.weight" in message
    assert message.count("elsewhere") == 5


def test_lora_with_a_tensor_missing(base: Path, lora: Path, tmp_path: Path) -> None:
    name = next(name for name in load_file(lora) if name.endswith("to_q.lora_A.weight"))
    path = edit(lora, lambda tensors: {k: v for k, v in tensors.items() if k != name}, tmp_path / "less.safetensors")
    assert name.removesuffix(".weight") in refusal(path, base=base)


def test_dora_is_not_silently_dropped(base: Path, lora: Path, tmp_path: Path) -> None:
    name = next(iter(load_file(lora))).split(".lora_")[0] + ".dora_scale"
    path = edit(lora, lambda tensors: tensors | {name: torch.ones(32)}, tmp_path / "dora.safetensors")
    assert name in refusal(path, base=base)


def test_kohya_keys_that_are_not_understood(base: Path, lora: Path, tmp_path: Path) -> None:
    extra = {"lora_unet_mid_block.hada_w1_a": torch.ones(4, 4)}
    path = edit(lora, lambda tensors: kohya(tensors) | extra, tmp_path / "loha.safetensors")
    assert "1 keys are not understood: lora_unet_mid_block.hada_w1_a" in refusal(path, base=base)


def test_kohya_half_pair(base: Path, lora: Path, tmp_path: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k: v for k, v in kohya(tensors).items() if "lora_up" not in k}

    assert "lacks" in refusal(edit(lora, halve, tmp_path / "half.safetensors"), base=base)


def test_file_without_lora_keys(base: Path, tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    assert "no LoRA weights" in refusal(tmp_path / "x.safetensors", base=base)
    save_file({"model.diffusion_model.x": torch.ones(2)}, tmp_path / "y.safetensors")
    assert "whole model" in refusal(tmp_path / "y.safetensors", base=base)


def test_truncated_lora(base: Path, lora: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.safetensors").write_bytes(lora.read_bytes()[:-9])
    assert "truncated" in refusal(tmp_path / "cut.safetensors", base=base)


@pytest.mark.parametrize("suffix", ["bin", "pt", "ckpt"])
def test_pickled_lora_needs_permission(base: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"style.{suffix}"
    torch.save({"unet.x.lora_A.weight": torch.ones(2)}, path)
    assert "--allow-pickle" in refusal(path)
    assert "--allow-pickle" in refusal(path, base=base)


def test_pickled_lora_with_permission(base: Path, lora: Path, lora_pictures: NDArray[np.uint8], tmp_path: Path) -> None:
    torch.save(load_file(lora), tmp_path / "style.bin")
    allowed = load_suspect(tmp_path / "style.bin", base=base, allow_pickle=True)
    assert (allowed.generate(QUERIES, SAMPLER) == lora_pictures).all()


def test_a_pickle_that_runs_code_stays_shut_even_when_allowed(base: Path, tmp_path: Path) -> None:
    torch.save({"unet.x.lora_A.weight": Path("x")}, tmp_path / "evil.bin")
    assert "not a weights file" in refusal(tmp_path / "evil.bin", base=base, allow_pickle=True)


def test_names_in_the_index_are_no_guide_to_random_weights(copy: Path) -> None:
    """An unknown component class is refused, not skipped."""
    index = json.loads((copy / "model_index.json").read_text())
    index["unet"] = ["diffusers", "NoSuchModel"]
    (copy / "model_index.json").write_text(json.dumps(index))
    assert "cannot be loaded" in refusal(copy)
