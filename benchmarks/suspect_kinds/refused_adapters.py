"""Adapters and embeddings that should be refused, each in words that are true of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.suspect_kinds.models import Case, Models, Refused, Weights
from detect.suspects.images import load_suspect
from tests.support.adapters import diffusers, kohya, layers, peft_folder, save

Opens = Callable[[Models], object]


def lora(models: Models) -> Weights:
    return kohya(layers(models.sd, 6), lambda layer, rank: 2.0)[0]


def _adapter(change: Callable[[Weights], Weights], base: str = "sd") -> Opens:
    """A LoRA that was changed."""
    return lambda models: load_suspect(
        save(models.place() / "a.safetensors", change(lora(models))), base=getattr(models, base)
    )


def without(word: str) -> Callable[[Weights], Weights]:
    """One tensor less, the first with a word in its name."""

    def change(tensors: Weights) -> Weights:
        lost = next(name for name in tensors if word in name)
        return {name: tensor for name, tensor in tensors.items() if name != lost}

    return change


def with_one(name: str, tensor: Tensor) -> Callable[[Weights], Weights]:
    return lambda tensors: tensors | {name: tensor}


def first_times(tensors: Weights, factor: float) -> Weights:
    name = next(iter(tensors))
    return tensors | {name: tensors[name] * factor}


def _peft(models: Models, **settings: Any) -> Path:
    unet = {k: v for k, v in layers(models.sd, 6).items() if k.startswith("unet.")}
    tensors = {"base_model.model." + k.removeprefix("unet."): v for k, v in diffusers(unet)[0].items()}
    return peft_folder(models.place(), tensors, **settings)


def _peft_case(**settings: Any) -> Opens:
    return lambda models: load_suspect(_peft(models, **settings), base=models.sd)


def _peft_bare(models: Models) -> object:
    folder = _peft(models)
    (folder / "adapter_config.json").unlink()
    return load_suspect(folder, base=models.sd)


def _dora_in_part(tensors: Weights) -> Weights:
    stem, up = next((n.split(".")[0], t) for n, t in tensors.items() if n.endswith("lora_up.weight"))
    return tensors | {f"{stem}.dora_scale": torch.ones(len(up), 1)}


def any_file(write: Callable[[Path], object], name: str, **options: Any) -> Opens:
    """Any file, onto the tiny model."""

    def make(models: Models) -> object:
        path = models.place() / name
        write(path)
        return load_suspect(path, base=models.sd, **options)

    return make


def _cut(models: Models) -> object:
    path = save(models.place() / "a.safetensors", lora(models))
    path.write_bytes(path.read_bytes()[:-9])
    return load_suspect(path, base=models.sd)


def adapter_refusals() -> list[Case]:
    """Adapters."""
    return [
        Refused("LoRA without base", "Add --base", lambda m: load_suspect(save(m.place() / "a.safetensors", lora(m)))),
        Refused("LoRA of SD 1 on another width", "another base", _adapter(dict, "wide")),
        Refused("LoRA of SD 1 on SD3", "no place in the base", _adapter(dict, "sd3")),
        Refused("LoRA of SD 1 on FLUX", "no place in the base", _adapter(dict, "flux")),
        Refused("LoRA with half a pair", "lora_up.weight", _adapter(without("lora_up"))),
        Refused("LoRA without one alpha", ".alpha", _adapter(without(".alpha"))),
        Refused("LoRA with keys of no layer", "no place", _adapter(lambda t: {f"x_{n}": v for n, v in t.items()})),
        Refused("LoRA with a key of no kind", "not understood", _adapter(with_one("lora_unet_x.news", torch.ones(2)))),
        Refused("LoRA with NaN", "NaN", _adapter(lambda t: first_times(t, float("nan")))),
        Refused("LoRA with infinite values", "infinite", _adapter(lambda t: first_times(t, float("inf")))),
        Refused("LoRA before training", "changes nothing", _adapter(lambda t: {n: v * 0 for n, v in t.items()})),
        Refused("DoRA of which layers lack their lengths", "dora_scale", _adapter(_dora_in_part)),
        Refused("OFT", "the kind OFT", _adapter(with_one("lora_unet_x.oft_blocks", torch.ones(2, 2, 2)))),
        Refused("IA3", "the kind IA3", _adapter(with_one("lora_unet_x.on_input", torch.ones(1)))),
        Refused("GLoRA", "the kind GLoRA", _adapter(with_one("lora_unet_x.a1.weight", torch.ones(2, 2)))),
        Refused("T-LoRA", "the kind T-LoRA", _adapter(with_one("lora_unet_x.lambda_layer", torch.ones(1, 2)))),
        Refused("PEFT without settings", "adapter_config.json", _peft_bare),
        Refused("PEFT with whole modules", "modules_to_save", _peft_case(modules_to_save=["conv_in"])),
        Refused("PEFT of another rank", "settings say 8", _peft_case(r=8)),
        Refused("PEFT of another kind", "OFT", _peft_case(peft_type="OFT")),
        Refused("truncated LoRA", "truncated", _cut),
        Refused(
            "pickled LoRA",
            "--allow-pickle",
            any_file(lambda p: torch.save({"a.lora_up.weight": torch.ones(2)}, p), "a.pt"),
        ),
        Refused(
            "pickle that runs code, allowed",
            "not a weights file",
            any_file(lambda p: torch.save({"a.lora_up.weight": Path("x")}, p), "a.pt", allow_pickle=True),
        ),
        Refused("two LoRAs in a folder", "a.safetensors, b.safetensors", _two_loras),
        Refused("strengths for too many", "2 strengths for 1", _strengths),
        Refused(
            "embedding by itself",
            "no question does",
            any_file(lambda p: save(p, {"<w>": torch.ones(32)}), "e.safetensors"),
        ),
        Refused("embedding of another width", "of 32", _embedding({"<w>": torch.ones(2, 768)})),
        Refused(
            "embedding of SDXL on SD 1",
            "which the base has not",
            _embedding({"clip_l": torch.ones(1, 32), "clip_g": torch.ones(1, 32)}),
        ),
    ]


def _two_loras(models: Models) -> object:
    folder = models.place()
    for name in ("a", "b"):
        save(folder / f"{name}.safetensors", lora(models))
    return load_suspect(folder, base=models.sd)


def _strengths(models: Models) -> object:
    return load_suspect(save(models.place() / "a.safetensors", lora(models)), base=models.sd, scales=[1.0, 2.0])


def _embedding(entries: Weights) -> Opens:
    """An embedding beside a sound LoRA."""

    def make(models: Models) -> object:
        folder = models.place()
        paths = [save(folder / "a.safetensors", lora(models)), save(folder / "e.safetensors", entries)]
        return load_suspect(paths, base=models.sd)

    return make
