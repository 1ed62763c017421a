"""Families of adapter files for tiny models, and by formulas of their own what each file must do to the weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tests.support.adapters import kohya_stem, random, save

Tensors = dict[str, Tensor]
Parts = Mapping[str, Tensor]
Formula = Callable[[Parts, Tensor], Tensor]
"""From a layer's tensors by ending, and its weight (rows, columns), the weight after; KeyError if one is missing."""


@dataclass(frozen=True)
class Family:
    """One way to write adapters."""

    name: str
    stems: Mapping[str, tuple[str, ...]]
    """Every stem the family has a name for, and the layers whose rows it holds one after the other."""
    make: Callable[[tuple[int, ...], int], Tensors]
    """Tensors for a weight of some shape, by ending."""
    after: Formula
    chosen: tuple[str, ...]
    """Stems that a file holds."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """Settings of PEFT that lie beside the file."""

    def file(self, weights: Mapping[str, Tensor]) -> Tensors:
        """The tensors of a whole file."""
        found = {}
        for seed, stem in enumerate(self.chosen):
            parts = [weights[layer] for layer in self.stems[stem]]
            shape = (sum(len(part) for part in parts), *parts[0].shape[1:])
            found |= {f"{stem}.{ending}": tensor for ending, tensor in self.make(shape, 100 * seed).items()}
        return found

    def write(self, folder: Path, tensors: Tensors) -> Path:
        """A file of tensors, with the settings that belong to it."""
        if self.beside:
            (folder / "adapter_config.json").write_text(json.dumps(self.beside))
            return save(folder / "adapter_model.safetensors", tensors)
        return save(folder / "adapter.safetensors", tensors)

    def expected(self, tensors: Tensors, weights: Mapping[str, Tensor]) -> Tensors | None:
        """All weights that a file changes, after it; None if it cannot be applied as a whole."""
        groups: dict[str, Tensors] = {}
        for name, tensor in tensors.items():
            stem = max((s for s in self.stems if name.startswith(f"{s}.")), key=len, default=None)
            if stem is None:
                return None
            groups.setdefault(stem, {})[name.removeprefix(f"{stem}.")] = tensor.double()
        after: Tensors = {}
        for stem, parts in groups.items():
            layers = self.stems[stem]
            if after.keys() & set(layers):
                return None
            whole = torch.cat([weights[layer].double().flatten(1) for layer in layers])
            try:
                moved = self.after(parts, whole)
            except (KeyError, RuntimeError):
                return None
            if moved.shape != whole.shape:
                return None
            for layer, rows in zip(layers, moved.split([len(weights[layer]) for layer in layers]), strict=True):
                after[layer] = rows.reshape(weights[layer].shape)
        return after


def pair(
    down: str, up: str, *, alpha: bool = False, lengths: str = "", ranks: Sequence[int] = (3,)
) -> Callable[[tuple[int, ...], int], Tensors]:
    """Pairs of some ranks, in turn, under some endings."""

    def make(shape: tuple[int, ...], seed: int) -> Tensors:
        ones, rank = (1,) * (len(shape) - 2), ranks[seed // 100 % len(ranks)]
        found = {down: random(rank, *shape[1:], seed=seed), up: random(shape[0], rank, *ones, seed=seed + 1)}
        if alpha:
            found["alpha"] = torch.tensor(1.5 + seed % 7)
        if lengths:
            found[lengths] = random(shape[0], *(1,) * (len(shape) - 1), seed=seed + 2).abs() + 0.5
        return found

    return make


def product(down: str, up: str, *, scale: float | None = None, lengths: str = "") -> Formula:
    """What pairs do: alpha over rank times up times down, and lengths of rows where there are some."""

    def after(parts: Parts, weight: Tensor) -> Tensor:
        low, high = parts[down].flatten(1), parts[up].flatten(1)
        only({down, up} | ({"alpha"} if scale is None else set()) | ({lengths} if lengths else set()), parts)
        strength = float(parts["alpha"]) / len(low) if scale is None else scale
        moved = weight + strength * high @ low
        return moved / moved.norm(dim=1, keepdim=True) * parts[lengths].reshape(-1, 1) if lengths else moved

    return after


def only(names: set[str], parts: Parts) -> None:
    """Raise KeyError for endings that a family has not."""
    if parts.keys() - names:
        raise KeyError(parts.keys() - names)


def _make_middle(shape: tuple[int, ...], seed: int) -> Tensors:
    return {
        "lora_down.weight": random(2, shape[1], 1, 1, seed=seed),
        "lora_mid.weight": random(3, 2, *shape[2:], seed=seed + 1),
        "lora_up.weight": random(shape[0], 3, 1, 1, seed=seed + 2),
        "alpha": torch.tensor(3.0),
    }


def _after_middle(parts: Parts, weight: Tensor) -> Tensor:
    only({"lora_down.weight", "lora_mid.weight", "lora_up.weight", "alpha"}, parts)
    down, middle, up = (parts[f"lora_{name}.weight"] for name in ("down", "mid", "up"))
    change = torch.tensordot(up.flatten(1), torch.tensordot(middle.movedim(1, 3), down.flatten(1), 1), 1).movedim(3, 1)
    return weight + float(parts["alpha"]) / len(down) * change.flatten(1)


def _make_loha(shape: tuple[int, ...], seed: int) -> Tensors:
    columns = int(torch.tensor(shape[1:]).prod())
    names = {
        "hada_w1_a": (shape[0], 3),
        "hada_w1_b": (3, columns),
        "hada_w2_a": (shape[0], 3),
        "hada_w2_b": (3, columns),
    }
    found = {name: random(*own, seed=seed + i, size=0.3) for i, (name, own) in enumerate(names.items())}
    return found | {"alpha": torch.tensor(2.0)}


def _after_loha(parts: Parts, weight: Tensor) -> Tensor:
    only({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "alpha"}, parts)
    one, two = (parts[f"hada_w{i}_a"] @ parts[f"hada_w{i}_b"] for i in (1, 2))
    return weight + float(parts["alpha"]) / len(parts["hada_w1_b"]) * one * two


def _make_lokr(shape: tuple[int, ...], seed: int) -> Tensors:
    rows, columns = shape[0] // 4, int(torch.tensor(shape[2:]).prod()) * (shape[1] // 4)
    return {
        "lokr_w1": random(4, 4, seed=seed, size=0.3),
        "lokr_w2_a": random(rows, 2, seed=seed + 1, size=0.3),
        "lokr_w2_b": random(2, columns, seed=seed + 2, size=0.3),
        "alpha": torch.tensor(5.0),
    }


def _after_lokr(parts: Parts, weight: Tensor) -> Tensor:
    only({"lokr_w1", "lokr_w2_a", "lokr_w2_b", "alpha"}, parts)
    return weight + float(parts["alpha"]) / 2 * torch.kron(parts["lokr_w1"], parts["lokr_w2_a"] @ parts["lokr_w2_b"])


def _make_full(shape: tuple[int, ...], seed: int) -> Tensors:
    return {"diff": random(*shape, seed=seed)}


def _after_full(parts: Parts, weight: Tensor) -> Tensor:
    only({"diff"}, parts)
    return weight + parts["diff"].flatten(1)


AB, KOHYA, OLD = (
    ("lora_A.weight", "lora_B.weight"),
    ("lora_down.weight", "lora_up.weight"),
    ("lora.down.weight", "lora.up.weight"),
)


RESIZED = (3, 5, 2)
"""Ranks of a file that was resized layer by layer."""


def families(weights: Mapping[str, Tensor]) -> list[Family]:
    """Families for a tiny Stable Diffusion.

    Args:
        weights: of all layers, by component and layer.
    """
    plain = {layer: (layer,) for layer in weights}
    unet = {layer: (layer,) for layer in weights if layer.startswith("unet.")}
    named = {kohya_stem(layer): (layer,) for layer in weights}
    peft = {f"base_model.model.{layer.removeprefix('unet.')}": (layer,) for layer in unet}
    kernels = tuple(s for s, own in named.items() if weights[own[0]].shape[2:] == (3, 3) and len(weights[own[0]]) > 4)
    even = tuple(s for s, own in named.items() if all(n % 4 == 0 for n in weights[own[0]].shape[:2]))
    settings = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "rank_pattern": {}, "alpha_pattern": {}}
    return [
        Family("kohya", named, pair(*KOHYA, alpha=True, ranks=RESIZED), product(*KOHYA), tuple(named)[::9]),
        Family("diffusers", plain, pair(*AB), product(*AB, scale=1.0), tuple(plain)[2::9]),
        Family("diffusers of 2023", unet, pair(*OLD), product(*OLD, scale=1.0), tuple(unet)[1::9]),
        Family("PEFT", peft, pair(*AB), product(*AB, scale=2.0), tuple(peft)[::8], settings),
        Family(
            "PEFT, DoRA",
            peft,
            pair(*AB, lengths="lora_magnitude_vector"),
            product(*AB, scale=2.0, lengths="lora_magnitude_vector"),
            tuple(peft)[3::8],
            settings | {"use_dora": True},
        ),
        Family(
            "LyCORIS, DoRA",
            named,
            pair(*KOHYA, alpha=True, lengths="dora_scale"),
            product(*KOHYA, lengths="dora_scale"),
            tuple(named)[4::9],
        ),
        Family("LoCon", named, _make_middle, _after_middle, kernels[::2]),
        Family("LoHa", named, _make_loha, _after_loha, tuple(named)[5::11]),
        Family("LoKr", named, _make_lokr, _after_lokr, even[::9]),
        Family("full", named, _make_full, _after_full, tuple(named)[::13]),
    ]


_FLUX = {
    "double_blocks_0_img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "double_blocks_0_txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "double_blocks_0_img_attn_proj": ("attn.to_out.0",),
    "double_blocks_0_txt_attn_proj": ("attn.to_add_out",),
    "double_blocks_0_img_mlp_0": ("ff.net.0.proj",),
    "double_blocks_0_img_mlp_2": ("ff.net.2",),
    "double_blocks_0_img_mod_lin": ("norm1.linear",),
    "double_blocks_0_txt_mod_lin": ("norm1_context.linear",),
}


def flux_families(weights: Mapping[str, Tensor]) -> list[Family]:
    """Families for a tiny FLUX.1: the packed layers of its first release, and diffusers' own."""
    block = "transformer.transformer_blocks.0."
    packed = {f"lora_unet_{stem}": tuple(block + layer for layer in layers) for stem, layers in _FLUX.items()}
    plain = {layer: (layer,) for layer in weights if layer.startswith("transformer.")}
    return [
        Family("kohya, FLUX", packed, pair(*KOHYA, alpha=True, ranks=RESIZED), product(*KOHYA), tuple(packed)[:6]),
        Family("LoHa, FLUX", packed, _make_loha, _after_loha, tuple(packed)[:4]),
        Family("ai-toolkit, FLUX", plain, pair(*AB), product(*AB, scale=1.0), tuple(plain)[1::5]),
    ]
