"""LoRA files: applied whole, or refused in two lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from detect.suspects.images import load_suspect, stacked
from tests.support.models import build
from tests.support.weights import QUERIES, SAMPLER, edit, refusal


def kohya(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same LoRA under Kohya's names, with alphas."""
    renamed = {}
    for name, tensor in tensors.items():
        module, _, half = name.removesuffix(".weight").rpartition(".lora_")
        module = module.replace("text_encoder.", "lora_te_").replace("unet.", "lora_unet_").replace(".", "_")
        renamed[f"{module}.lora_{'down' if half == 'A' else 'up'}.weight"] = tensor
        renamed[f"{module}.alpha"] = torch.tensor(4.0)
    return renamed


def test_lora_changes_the_pictures_and_the_identity(
    base: Path, lora: Path, capfd: pytest.CaptureFixture[str], plain: NDArray[np.uint8]
) -> None:
    suspect = load_suspect(lora.parent, base=base)  # a folder with one file
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) != plain).any()
    assert {"adapter", "base"} <= suspect.identity.keys()
    assert suspect.identity["base"] == load_suspect(base).identity["weights"]
    assert capfd.readouterr() == ("", "")


def test_kohya_names_give_the_same_pictures(
    base: Path, lora: Path, lora_pictures: NDArray[np.uint8], tmp_path: Path
) -> None:
    renamed = load_suspect(edit(lora, kohya, tmp_path / "kohya.safetensors"), base=base)
    assert np.abs(stacked(renamed.answer(QUERIES, SAMPLER)).astype(int) - lora_pictures).max() <= 1


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


def test_dora_of_one_layer_is_not_whole(base: Path, lora: Path, tmp_path: Path) -> None:
    """Trainers give lengths to all layers or to none."""
    stem = next(iter(load_file(lora))).split(".lora_")[0]
    rows = load_file(lora)[f"{stem}.lora_B.weight"].shape[0]
    path = edit(lora, lambda tensors: tensors | {f"{stem}.dora_scale": torch.ones(rows)}, tmp_path / "dora.safetensors")
    assert "lacks dora_scale" in refusal(path, base=base)
    path = edit(lora, lambda tensors: tensors | {f"{stem}.dora_scale": torch.ones(7)}, tmp_path / "dora.safetensors")
    assert "do not fit together" in refusal(path, base=base)


def test_keys_that_are_not_understood(base: Path, lora: Path, tmp_path: Path) -> None:
    extra = {"lora_unet_mid_block.something_new": torch.ones(4, 4)}
    path = edit(lora, lambda tensors: kohya(tensors) | extra, tmp_path / "new.safetensors")
    assert "1 keys are not understood: lora_unet_mid_block.something_new" in refusal(path, base=base)


def test_half_a_loha(base: Path, lora: Path, tmp_path: Path) -> None:
    extra = {"lora_unet_mid_block.hada_w1_a": torch.ones(4, 4)}
    path = edit(lora, lambda tensors: kohya(tensors) | extra, tmp_path / "loha.safetensors")
    assert "lacks lora_unet_mid_block.hada_w1_b" in refusal(path, base=base)


def test_kohya_half_pair(base: Path, lora: Path, tmp_path: Path) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {k: v for k, v in kohya(tensors).items() if "lora_up" not in k}

    assert "lora_up.weight" in refusal(edit(lora, halve, tmp_path / "half.safetensors"), base=base)


def test_file_without_lora_keys(base: Path, tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    assert "is an embedding" in refusal(tmp_path / "x.safetensors", base=base)
    save_file({"model.diffusion_model.x": torch.ones(2)}, tmp_path / "y.safetensors")
    assert "no base model was given" in refusal(tmp_path / "y.safetensors")
    assert "same family" in refusal(tmp_path / "y.safetensors", base=base)


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
    assert (stacked(allowed.answer(QUERIES, SAMPLER)) == lora_pictures).all()


def test_a_pickle_that_runs_code_stays_shut_even_when_allowed(base: Path, tmp_path: Path) -> None:
    torch.save({"unet.x.lora_A.weight": Path("x")}, tmp_path / "evil.bin")
    assert "not a weights file" in refusal(tmp_path / "evil.bin", base=base, allow_pickle=True)
