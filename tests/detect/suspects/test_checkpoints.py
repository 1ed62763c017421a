"""Models in one file: whole checkpoints and denoisers, opened in the frame of a base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from detect.suspects.images import load_suspect, stacked
from detect.suspects.images.pipeline import PipelineSuspect
from tests.support.checkpoints import autoencoder, denoiser, text, whole_checkpoint, write_checkpoint
from tests.support.models import build
from tests.support.transformers import build_transformer
from tests.support.weights import QUERIES, SAMPLER, UNET, edit, refusal


@pytest.fixture(scope="module")
def frame(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base with the same configuration as the tiny model, and other weights everywhere."""
    folder = Path(shutil.copytree(base, tmp_path_factory.mktemp("frame") / "frame"))
    for path in folder.glob("*/*.safetensors"):
        edit(path, lambda tensors: {k: v + 0.01 * torch.randn_like(v) for k, v in tensors.items()})
    return folder


@pytest.fixture(scope="module")
def whole(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("file") / "model.safetensors", whole_checkpoint(base))


def drawn(*args: object, **kwargs: object) -> NDArray[np.uint8]:
    return stacked(load_suspect(*args, **kwargs).answer(QUERIES, SAMPLER))  # type: ignore[arg-type]


def test_a_whole_checkpoint_draws_as_its_folder(frame: Path, whole: Path, plain: NDArray[np.uint8]) -> None:
    suspect = load_suspect(whole, base=frame)
    assert isinstance(suspect, PipelineSuspect) and suspect.notes == ()
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) == plain).all()
    assert (drawn(frame) != plain).any()
    assert {"weights", "base", "configuration"} <= suspect.identity.keys()


def test_a_checkpoint_needs_a_base(whole: Path, tmp_path: Path) -> None:
    message = refusal(whole)
    assert "a model in one file" in message and "same family" in message
    assert "does not fit" in refusal(whole, base=build(tmp_path / "wide", width=64))
    assert "same family" in refusal(whole, base=build_transformer(tmp_path / "sd3"))


def test_without_a_vae_the_base_lends_its_own(base: Path, frame: Path, tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "model.safetensors", denoiser(base) | text(base))
    suspect = load_suspect(path, base=frame)
    assert isinstance(suspect, PipelineSuspect)
    assert suspect.notes == ("vae: not in model.safetensors, taken from the base",)
    parts = {"unet": base, "text_encoder": base, "vae": frame}
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) == drawn(mixed(tmp_path / "mixed", parts))).all()


def mixed(folder: Path, parts: dict[str, Path]) -> Path:
    """A pipeline of several models' components."""
    shutil.copytree(parts["unet"], folder)
    for name, source in parts.items():
        shutil.rmtree(folder / name)
        shutil.copytree(source / name, folder / name)
    return folder


@pytest.mark.parametrize("form", ["ldm", "diffusers", "folder"])
def test_a_denoiser_alone(base: Path, frame: Path, tmp_path: Path, form: str) -> None:
    path = tmp_path / "unet.safetensors"
    if form == "ldm":
        write_checkpoint(path, denoiser(base))
    elif form == "diffusers":
        shutil.copy(base / UNET, path)
    else:
        path = Path(shutil.copytree(base / "unet", tmp_path / "unet"))
    suspect = load_suspect(path, base=frame)
    assert isinstance(suspect, PipelineSuspect) and "text_encoder, vae: not in" in suspect.notes[0]
    expected = drawn(mixed(tmp_path / "mixed", {"unet": base, "text_encoder": frame, "vae": frame}))
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) == expected).all()


def test_a_denoiser_in_shards(base: Path, frame: Path, tmp_path: Path) -> None:
    tensors = load_file(base / UNET)
    names, folder = list(tensors), tmp_path / "unet"
    folder.mkdir()
    shutil.copy(base / "unet/config.json", folder)
    for number in (1, 2):
        part = {name: tensors[name] for name in names[number - 1 :: 2]}
        save_file(part, folder / f"diffusion_pytorch_model-0000{number}-of-00002.safetensors", {"format": "pt"})
    expected = drawn(mixed(tmp_path / "mixed", {"unet": base, "text_encoder": frame, "vae": frame}))
    assert (drawn(folder, base=frame) == expected).all()
    (folder / "diffusion_pytorch_model-00002-of-00002.safetensors").unlink()
    assert "lacks 1 of 2 parts" in refusal(folder, base=frame)


def test_a_transformer_alone(tmp_path: Path) -> None:
    model, frame = build_transformer(tmp_path / "sd3"), build_transformer(tmp_path / "other")
    edit(
        frame / "transformer/diffusion_pytorch_model.safetensors",
        lambda tensors: {k: v * 1.1 for k, v in tensors.items()},
    )
    path = Path(shutil.copy(model / "transformer/diffusion_pytorch_model.safetensors", tmp_path / "t.safetensors"))
    assert (drawn(path, base=frame) == drawn(model)).all()


def test_half_precision_files(base: Path, frame: Path, tmp_path: Path, plain: NDArray[np.uint8]) -> None:
    halves = {name: tensor.half() for name, tensor in whole_checkpoint(base).items()}
    path = write_checkpoint(tmp_path / "half.safetensors", halves)
    assert np.abs(drawn(path, base=frame).astype(int) - plain).mean() < 2


def test_pickles_need_permission(base: Path, frame: Path, tmp_path: Path, plain: NDArray[np.uint8]) -> None:
    torch.save({"state_dict": whole_checkpoint(base), "epoch": 3}, tmp_path / "model.ckpt")
    assert "--allow-pickle" in refusal(tmp_path / "model.ckpt", base=frame)
    assert (drawn(tmp_path / "model.ckpt", base=frame, allow_pickle=True) == plain).all()
    torch.save({"state_dict": whole_checkpoint(base), "hook": Path("x")}, tmp_path / "evil.ckpt")
    assert "not a weights file" in refusal(tmp_path / "evil.ckpt", base=frame, allow_pickle=True)


def test_tables_of_the_noise_schedule_are_no_weights(
    base: Path, frame: Path, tmp_path: Path, plain: NDArray[np.uint8]
) -> None:
    tables = {
        "alphas_cumprod": torch.ones(1000),
        "model_ema.decay": torch.tensor(0.9),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(16)[None],
    }
    path = write_checkpoint(tmp_path / "model.safetensors", whole_checkpoint(base) | tables)
    assert (drawn(path, base=frame) == plain).all()


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("model.diffusion_model.output_blocks.0.0.extra", "no place"),
        ("lora_unet_mid_block.alpha", "no place"),
        ("control_model.input_hint_block.0.weight", "no place"),
        ("model.diffusion_model.x.scale_weight", "scaled eight bits"),
    ],
)
def test_what_a_base_has_no_place_for(base: Path, frame: Path, tmp_path: Path, name: str, word: str) -> None:
    path = write_checkpoint(tmp_path / "model.safetensors", whole_checkpoint(base) | {name: torch.ones(3, 5)})
    message = refusal(path, base=frame)
    assert word in message and name in message


@pytest.mark.parametrize("part", ["denoiser", "autoencoder", "text"])
def test_a_weight_that_is_missing_is_named(base: Path, frame: Path, tmp_path: Path, part: str) -> None:
    tensors = whole_checkpoint(base)
    own = {"denoiser": denoiser, "autoencoder": autoencoder, "text": text}[part](base)
    lost = next(name for name in own if name.endswith(".weight") and tensors[name].ndim > 1)
    del tensors[lost]
    message = refusal(write_checkpoint(tmp_path / "model.safetensors", tensors), base=frame)
    assert ("lacks 1" in message or "have no place" in message) and "same family" in message


def test_values_that_are_not_finite(base: Path, frame: Path, tmp_path: Path) -> None:
    tensors = whole_checkpoint(base)
    name = next(iter(tensors))
    tensors[name] = tensors[name] * float("nan")
    assert "NaN" in refusal(write_checkpoint(tmp_path / "model.safetensors", tensors), base=frame)


def test_a_file_that_predicts_otherwise_than_its_base(frame: Path, base: Path, tmp_path: Path) -> None:
    tensors = whole_checkpoint(base) | {"v_pred": torch.zeros(0)}
    path = write_checkpoint(tmp_path / "model.safetensors", tensors)
    load_suspect(path, base=frame)
    other = Path(shutil.copytree(frame, tmp_path / "epsilon"))
    settings = json.loads((other / "scheduler/scheduler_config.json").read_text()) | {"prediction_type": "epsilon"}
    (other / "scheduler/scheduler_config.json").write_text(json.dumps(settings))
    assert "says v_pred" in refusal(path, base=other)


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], "a VAE alone"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder alone"),
        (["control_model.time_embed.0.weight"], "ControlNet"),
        (["ip_adapter.1.to_k_ip.weight", "image_proj.proj.weight"], "IP-Adapter"),
        (["nothing.known"], "same family"),
    ],
)
def test_files_that_are_no_model(frame: Path, tmp_path: Path, names: list[str], what: str) -> None:
    path = write_checkpoint(tmp_path / "x.safetensors", {name: torch.ones(4, 4) for name in names})
    assert what in refusal(path, base=frame)
