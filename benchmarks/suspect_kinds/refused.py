"""Whole models that should be refused, each in words that are true of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from benchmarks.suspect_kinds.models import UNET, Case, Models, Refused, Weights
from benchmarks.suspect_kinds.refused_adapters import Opens, any_file, first_times, lora, with_one, without
from detect.suspects.images import load_suspect
from tests.support.adapters import save
from tests.support.checkpoints import denoiser, whole_checkpoint, write_checkpoint


def _folder(change: Callable[[Path], object], model: str = "sd", **options: Any) -> Opens:
    """A pipeline folder that was changed."""

    def make(models: Models) -> object:
        folder = models.copy(getattr(models, model))
        change(folder)
        return load_suspect(folder, **options)

    return make


def _edit(file: str, change: Callable[[Weights], Weights]) -> Callable[[Path], None]:
    return lambda folder: save_file(change(load_file(folder / file)), folder / file, {"format": "pt"})


def _index(**entries: Any) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | entries))

    return change


def _empty(part: str) -> Callable[[Path], None]:
    """A tokenizer that lost its words."""

    def change(folder: Path) -> None:
        for path in (folder / part).iterdir():
            if path.name in ("vocab.json", "merges.txt", "tokenizer.json"):
                path.unlink()

    return change


def _lose_shard(folder: Path) -> None:
    path = folder / "unet/diffusion_pytorch_model.safetensors"
    path.rename(path.with_name("diffusion_pytorch_model-00001-of-00002.safetensors"))


def _stray(place: str) -> Callable[[Path], object]:
    return lambda folder: save(folder / place, {"x.lora_up.weight": torch.ones(2, 2)})


def folder_refusals() -> list[Case]:
    """Whole pipelines."""
    pickle = "unet/diffusion_pytorch_model.bin"
    return [
        Refused("nothing", "no such file", lambda m: load_suspect(m.work / "nothing")),
        Refused("empty folder", "no model_index.json", lambda m: load_suspect(m.place())),
        Refused("broken index", "model_index.json", _folder(lambda f: (f / "model_index.json").write_text("{"))),
        Refused("class that is not known", "needs NoSuchPipeline", _folder(_index(_class_name="NoSuchPipeline"))),
        Refused(
            "pipeline that needs a picture",
            "needs a picture",
            _folder(_index(_class_name="StableDiffusionImg2ImgPipeline")),
        ),
        Refused("component left out", "lacks vae/", _folder(lambda f: shutil.rmtree(f / "vae"))),
        Refused("component without weights", "holds no weights", _folder(lambda f: (f / UNET).unlink())),
        Refused("shard left out", "lacks 1 of 2 parts", _folder(_lose_shard)),
        Refused("weight left out", "conv_in.bias", _folder(_edit(UNET, without("conv_in.bias")))),
        Refused(
            "weights with NaN",
            "conv_in.bias",
            _folder(_edit(UNET, lambda t: t | {"conv_in.bias": t["conv_in.bias"] / 0})),
        ),
        Refused(
            "truncated weights", "truncated", _folder(lambda f: (f / UNET).write_bytes((f / UNET).read_bytes()[:-7]))
        ),
        Refused(
            "pickled weights",
            "--allow-pickle",
            _folder(lambda f: [torch.save(load_file(f / UNET), f / pickle), (f / UNET).unlink()]),
        ),
        Refused(
            "tensors that are not used", "would not be used", _folder(_edit(UNET, with_one("x.weight", torch.ones(2))))
        ),
        Refused("quantised weights", "quantised weights", _folder(_quantised)),
        Refused("adapter injected when saved", "fuse_lora()", _folder(_edit(UNET, _inject))),
        Refused(
            "adapter weights in a component",
            "would not be applied",
            _folder(_edit(UNET, with_one("x.lora_A.weight", torch.ones(2, 2)))),
        ),
        Refused("LoRA beside", "pytorch_lora_weights", _folder(_stray("pytorch_lora_weights.safetensors"))),
        Refused("LoRA beside, of another name", "offset", _folder(_stray("offset.safetensors"))),
        Refused("LoRA in a sub-folder", "loras/style", _folder(_stray("loras/style.safetensors"))),
        Refused(
            "LoRA in a component's folder",
            "unet/pytorch_lora",
            _folder(_stray("unet/pytorch_lora_weights.safetensors")),
        ),
        Refused("embeddings beside", "learned_embeds", _folder(_stray("learned_embeds.safetensors"))),
        Refused("running averages beside", "unet_ema", _folder(_stray("unet_ema/diffusion_pytorch_model.safetensors"))),
        Refused(
            "adapter settings in a component",
            "adapter_config.json",
            _folder(lambda f: (f / "unet/adapter_config.json").write_text("{}")),
        ),
        Refused("tokenizer without words", "no whole tokenizer", _folder(_empty("tokenizer"))),
        Refused("second tokenizer without words", "tokenizer_2", _folder(_empty("tokenizer_2"), "sd3")),
        Refused(
            "scheduler without settings",
            "no settings",
            _folder(lambda f: (f / "scheduler/scheduler_config.json").write_text("{}")),
        ),
        Refused("base for a whole pipeline", "Drop --base", lambda m: load_suspect(m.sd, base=m.frame)),
        Refused("two whole models", "two whole models", lambda m: load_suspect([m.sd, m.frame])),
        Refused(
            "base that is no folder of diffusers",
            "model_index.json",
            lambda m: load_suspect(save(m.place() / "a.safetensors", lora(m)), base=m.place()),
        ),
        Refused("device that is none", "--device cpu", lambda m: load_suspect(m.sd, device="abacus")),
        Refused("offload without an accelerator", "--device cuda", lambda m: load_suspect(m.sd, offload="model")),
        Refused("hub cache without a snapshot", "0 snapshots", _no_snapshot),
    ]


def _quantised(folder: Path) -> None:
    path = folder / "unet/config.json"
    config = json.loads(path.read_text()) | {"quantization_config": {"quant_method": "bitsandbytes"}}
    path.write_text(json.dumps(config))


def _inject(tensors: Weights) -> Weights:
    return {name.replace("to_q.weight", "to_q.base_layer.weight"): tensor for name, tensor in tensors.items()}


def _no_snapshot(models: Models) -> object:
    cache = models.place() / "models--acme--tiny"
    (cache / "snapshots").mkdir(parents=True)
    return load_suspect(cache)


def _single(change: Callable[[Weights], Weights], base: str | None = "frame") -> Opens:
    """A checkpoint that was changed."""

    def make(models: Models) -> object:
        path = write_checkpoint(models.place() / "m.safetensors", change(whole_checkpoint(models.sd)))
        return load_suspect(path, base=getattr(models, base) if base else None)

    return make


def _names(*names: str) -> Callable[[Weights], Weights]:
    return lambda tensors: {name: torch.ones(4, 4) for name in names}


def checkpoint_refusals() -> list[Case]:
    """Models in single files."""
    return [
        Refused("checkpoint without base", "no base model was given", _single(dict, None)),
        Refused("checkpoint on another width", "same family", _single(dict, "wide")),
        Refused("checkpoint of SD 1 on SD3", "same family", _single(dict, "sd3")),
        Refused("checkpoint of SD 1 on FLUX", "same family", _single(dict, "flux")),
        Refused(
            "checkpoint with a weight left out",
            "conv_norm_out.weight",
            _single(without("model.diffusion_model.out.0.weight")),
        ),
        Refused(
            "checkpoint with a LoRA packed in",
            "lora_unet_x",
            _single(with_one("lora_unet_x.lora_up.weight", torch.ones(2, 2))),
        ),
        Refused(
            "checkpoint with a ControlNet packed in",
            "control_model",
            _single(with_one("control_model.x.weight", torch.ones(3, 5))),
        ),
        Refused("checkpoint with NaN", "NaN", _single(lambda t: first_times(t, float("nan")))),
        Refused(
            "checkpoint in scaled eight bits",
            "scaled eight bits",
            _single(with_one("model.diffusion_model.x.scale_weight", torch.ones(1))),
        ),
        Refused(
            "checkpoint that predicts velocity on a base that does not",
            "says ztsnr",
            _single(with_one("ztsnr", torch.ones(0)), "flux"),
        ),
        Refused(
            "UNet of another width",
            "same family",
            lambda m: load_suspect(write_checkpoint(m.place() / "u.safetensors", denoiser(m.sd)), base=m.wide),
        ),
        Refused("ControlNet", "ControlNet", _single(_names("control_model.input_blocks.0.0.weight"))),
        Refused("IP-Adapter", "IP-Adapter", _single(_names("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"))),
        Refused("VAE", "a VAE alone", _single(_names("encoder.conv_in.weight", "decoder.conv_in.weight"))),
        Refused("text encoder", "a text encoder alone", _single(_names("text_model.encoder.layers.0.mlp.fc1.weight"))),
        Refused("GGUF", "GGUF", any_file(lambda p: p.write_bytes(b"GGUF"), "m.gguf")),
        Refused("picture", "neither", any_file(lambda p: p.write_bytes(b"\x89PNG"), "m.png")),
    ]
