"""Whole models, in folders and in single files: kinds that should be opened exactly."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.suspect_kinds.models import UNET, Case, Exact, Models, Weights, folder_weights, suspect_weights
from tests.support.adapters import save
from tests.support.checkpoints import autoencoder, denoiser, text, whole_checkpoint, write_checkpoint


def _shards(folder: Path, name: str, *, middle: str = "", late: str = "") -> None:
    """Split a component's weights in two."""
    path = next(folder.glob("*.safetensors"))
    tensors = load_file(path)
    path.unlink()
    names, where = list(tensors), {}
    for number in (1, 2):
        part = {key: tensors[key] for key in names[number - 1 :: 2]}
        file = f"{name}{middle}-0000{number}-of-00002{late}.safetensors"
        save_file(part, folder / file, {"format": "pt"})
        where |= dict.fromkeys(part, file)
    index = f"{name}.safetensors.index{middle or late}.json"
    (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": where}))


def _changed(model: str, change: Callable[[Path], object], **options: Any) -> Any:
    """A folder in another form, with the weights it had."""

    def make(models: Models) -> tuple[Weights, Weights]:
        folder = models.copy(getattr(models, model))
        expected = folder_weights(folder)
        change(folder)
        return suspect_weights(folder, **options), expected

    return make


def _rename(ending: str, parts: tuple[str, ...]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for part in parts:
            for path in (folder / part).glob("*.safetensors"):
                path.rename(path.with_name(path.stem + ending))

    return change


def _to_pickle(folder: Path) -> None:
    torch.save(load_file(folder / UNET), folder / "unet/diffusion_pytorch_model.bin")
    (folder / UNET).unlink()


def _hub(models: Models) -> tuple[Weights, Weights]:
    cache = models.place() / "models--acme--tiny"
    for number, file in enumerate(sorted(path for path in models.sd.rglob("*") if path.is_file())):
        blob, link = cache / "blobs" / str(number), cache / "snapshots" / "0a1b" / file.relative_to(models.sd)
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return suspect_weights(cache), folder_weights(models.sd)


def _nothing(folder: Path) -> None:
    """As it is."""


def folder_cases() -> list[Case]:
    """Whole pipelines in their forms."""
    parts = ("unet", "vae", "text_encoder")
    named = {"sd": "SD 1", "xl": "SDXL", "sd3": "SD3 without T5", "flux": "FLUX.1"}
    plain: list[Case] = [Exact(f"{name}: diffusers folder", _changed(model, _nothing)) for model, name in named.items()]
    return [
        *plain,
        Exact("variant fp16", _changed("sd", _rename(".fp16.safetensors", parts))),
        Exact("variant fp16 of some parts", _changed("sd", _rename(".fp16.safetensors", parts[1:]))),
        Exact("shards", _changed("sd", lambda f: _shards(f / "unet", "diffusion_pytorch_model"))),
        Exact("shards of a text encoder", _changed("sd", lambda f: _shards(f / "text_encoder", "model"))),
        Exact(
            "shards of a variant",
            _changed("sd", lambda f: [_shards(f / "unet", "diffusion_pytorch_model", middle=".fp16")]),
        ),
        Exact("pickled pipeline, allowed", _changed("sd", _to_pickle, allow_pickle=True)),
        Exact(
            "a trainer's earlier states inside",
            _changed("sd", lambda f: shutil.copytree(f / "unet", f / "checkpoint-9" / "unet")),
        ),
        Exact(
            "other weights inside, left out on purpose",
            _changed("sd", lambda f: save(f / "x.safetensors", {"a.b": torch.ones(2)}), alone=True),
        ),
        Exact("hub cache", _hub),
    ]


def _checkpoint(tensors_of: Callable[[Path], Weights], parts: Mapping[str, str], *, ckpt: bool = False) -> Any:
    """A single file, and which of the two models each component should be of."""

    def make(models: Models) -> tuple[Weights, Weights]:
        path = models.place() / ("m.ckpt" if ckpt else "m.safetensors")
        tensors = tensors_of(models.sd)
        if ckpt:
            torch.save({"state_dict": tensors, "epoch": 1}, path)
        else:
            write_checkpoint(path, tensors)
        sources = {"file": folder_weights(models.sd), "base": folder_weights(models.frame)}
        expected = {name: sources[parts[name.partition(".")[0]]][name] for name in sources["file"]}
        return suspect_weights(path, base=models.frame, allow_pickle=ckpt), expected

    return make


def _halves(base: Path) -> Weights:
    return {name: tensor.half() for name, tensor in whole_checkpoint(base).items()}


def _half_file(models: Models) -> tuple[Weights, Weights]:
    path = write_checkpoint(models.place() / "m.safetensors", _halves(models.sd))
    return suspect_weights(path, base=models.frame), {k: v.half().float() for k, v in folder_weights(models.sd).items()}


def _component(model: str, part: str, how: str) -> Any:
    """A denoiser by itself, in diffusers' names."""

    def make(models: Models) -> tuple[Weights, Weights]:
        own, frame = getattr(models, model), models.copy(getattr(models, model))
        file = frame / part / "diffusion_pytorch_model.safetensors"
        save_file({k: v * 0.9 for k, v in load_file(file).items()}, file, {"format": "pt"})
        path = Path(shutil.copytree(own / part, models.place() / part))
        if how == "file":
            path = path / "diffusion_pytorch_model.safetensors"
        if how == "shards":
            _shards(path, "diffusion_pytorch_model")
        return suspect_weights(path, base=frame), folder_weights(own)

    return make


def checkpoint_cases() -> list[Case]:
    """Models in single files."""
    file, base = "file", "base"
    whole = {"unet": file, "vae": file, "text_encoder": file}
    return [
        Exact("checkpoint", _checkpoint(whole_checkpoint, whole)),
        Exact("checkpoint, pickled, allowed", _checkpoint(whole_checkpoint, whole, ckpt=True)),
        Exact("checkpoint in half precision", _half_file),
        Exact("checkpoint without VAE", _checkpoint(lambda p: denoiser(p) | text(p), whole | {"vae": base})),
        Exact(
            "checkpoint without text encoder",
            _checkpoint(lambda p: denoiser(p) | autoencoder(p), whole | {"text_encoder": base}),
        ),
        Exact("UNet of a checkpoint", _checkpoint(denoiser, {"unet": file, "vae": base, "text_encoder": base})),
        Exact("UNet file of diffusers", _component("sd", "unet", "file")),
        Exact("UNet folder of diffusers", _component("sd", "unet", "folder")),
        Exact("UNet folder in shards", _component("sd", "unet", "shards")),
        Exact("SDXL: UNet file", _component("xl", "unet", "file")),
        Exact("SD3: transformer file", _component("sd3", "transformer", "file")),
        Exact("FLUX: transformer file", _component("flux", "transformer", "file")),
    ]
