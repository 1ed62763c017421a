"""Adapters of random values for the tiny model, under the names of several trainers, and what they should do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

FILES = {"unet": "unet/diffusion_pytorch_model.safetensors", "text_encoder": "text_encoder/model.safetensors"}
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")

Weights = dict[str, Tensor]
"""Weights by component and layer, with dots."""


def layers(base: Path, every: int = 1) -> Weights:
    """Linear and convolution weights of UNet and text encoder, by component and layer; every n-th of them."""
    found = {}
    for component, file in FILES.items():
        for name, weight in load_file(base / file).items():
            if name.endswith(".weight") and weight.ndim in (2, 4) and "embedding.weight" not in name:
                found[f"{component}.{name.removesuffix('.weight')}"] = weight
    return dict(list(found.items())[::every])


def random(*shape: int, seed: int, size: float = 0.1) -> Tensor:
    """Values that depend on the seed alone."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * size


def low_rank(weight: Tensor, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """A pair (down, up) for a weight."""
    down = random(rank, *weight.shape[1:], seed=2 * seed)
    return down, random(weight.shape[0], rank, *(1,) * (weight.ndim - 2), seed=2 * seed + 1)


def product(down: Tensor, up: Tensor) -> Tensor:
    """The change of a weight, in the weight's shape."""
    return (up.flatten(1).double() @ down.flatten(1).double()).reshape(len(up), *down.shape[1:])


def kohya_stem(layer: str) -> str:
    """What sd-scripts calls a layer."""
    component, _, name = layer.partition(".")
    if component == "unet":
        return "lora_unet_" + name.replace(".", "_")
    return "lora_te_text_model_" + name.replace(".", "_")


def kohya(weights: Weights, alpha: Callable[[str, int], float], rank: int = 4) -> tuple[Weights, Weights]:
    """A Kohya file for the layers, and the changes it makes."""
    tensors, changes = {}, {}
    for seed, (layer, weight) in enumerate(weights.items()):
        down, up = low_rank(weight, rank, seed)
        stem = kohya_stem(layer)
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(alpha(layer, rank))
        changes[layer] = product(down, up) * alpha(layer, rank) / rank
    return tensors, changes


def diffusers(weights: Weights, rank: int = 4) -> tuple[Weights, Weights]:
    """A file as diffusers saves it, and the changes it makes."""
    tensors, changes = {}, {}
    for seed, (layer, weight) in enumerate(weights.items()):
        down, up = low_rank(weight, rank, seed)
        tensors |= {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
        changes[layer] = product(down, up)
    return tensors, changes


def merge(base: Path, target: Path, changes: Weights) -> Path:
    """A copy of the base with changes added to its weights."""
    shutil.copytree(base, target)
    for component, file in FILES.items():
        tensors = load_file(target / file)
        for layer, change in changes.items():
            if layer.startswith(f"{component}."):
                name = layer.removeprefix(f"{component}.") + ".weight"
                tensors[name] = (tensors[name].double() + change).to(tensors[name].dtype)
        save_file(tensors, target / file, metadata={"format": "pt"})
    return target


def save(path: Path, tensors: Weights, metadata: dict[str, str] | None = None) -> Path:
    """A safetensors file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, metadata=metadata)
    return path


def peft_folder(folder: Path, tensors: Weights, **settings: object) -> Path:
    """A folder as PEFT saves it, with its settings."""
    save(folder / "adapter_model.safetensors", tensors)
    content = {"peft_type": "LORA", "r": 4, "rank_pattern": {}, "alpha_pattern": {}} | settings
    if not {"alpha", "lora_alpha"} & content.keys():
        content["lora_alpha"] = 4
    (folder / "adapter_config.json").write_text(json.dumps(content))
    return folder
