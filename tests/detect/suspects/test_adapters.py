"""Adapters change the weights exactly as their files say, whatever trainer wrote them."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detect.suspects.images import load_suspect, stacked
from detect.suspects.images.adapters import apply_adapter, read_adapter
from detect.suspects.images.folder import load_pipeline
from detect.suspects.images.silence import silenced_libraries
from protect.errors import SuspectError
from tests.support.adapters import (
    ATTENTION,
    Weights,
    diffusers,
    kohya,
    kohya_stem,
    layers,
    low_rank,
    merge,
    peft_folder,
    product,
    random,
    save,
)
from tests.support.weights import QUERIES, SAMPLER, refusal


@pytest.fixture(scope="module")
def bare(base: Path) -> Any:
    """The tiny pipeline; tests work on copies."""
    return load_pipeline(base)


def changes_made(bare: Any, path: Path, strength: float = 1.0) -> Weights:
    """What an adapter file changes, by component and layer; layers that stay are left out."""
    pipeline = copy.deepcopy(bare)
    assert apply_adapter(pipeline, read_adapter(path), strength) < 1e-6
    found = {}
    for component in ("unet", "text_encoder"):
        before = getattr(bare, component).state_dict()
        for name, after in getattr(pipeline, component).state_dict().items():
            if not torch.equal(after, before[name]):
                found[f"{component}.{name.removesuffix('.weight')}"] = after.double() - before[name].double()
    return found


def assert_same(found: Weights, expected: Weights, tolerance: float = 2e-5) -> None:
    """Both hold the same changes, each up to a relative error (that of float32 weights that are 100 times larger)."""
    assert found.keys() == expected.keys()
    for layer, change in expected.items():
        off = (found[layer] - change.reshape(found[layer].shape)).norm() / change.norm()
        assert off < tolerance, (layer, float(off))


def alpha_by_layer(layer: str, rank: int) -> float:
    """Attention at another strength than the rest, as in a LoRA that was resized or trained with block alphas."""
    return rank / 8 if any(layer.endswith(name) for name in ATTENTION) else rank * 2.0


def test_alphas_that_differ_by_layer(base: Path, bare: Any, tmp_path: Path) -> None:
    tensors, changes = kohya(layers(base), alpha_by_layer)
    path = save(tmp_path / "kohya.safetensors", tensors)
    assert_same(changes_made(bare, path), changes)
    whole = load_suspect(merge(base, tmp_path / "merged", changes))
    pictures = [stacked(suspect.answer(QUERIES, SAMPLER)) for suspect in (load_suspect(path, base=base), whole)]
    assert np.abs(pictures[0].astype(int) - pictures[1]).max() <= 1
    assert (pictures[0] != stacked(load_suspect(base).answer(QUERIES, SAMPLER))).any()


def test_as_diffusers_would_load_it(base: Path, bare: Any, tmp_path: Path) -> None:
    """Where diffusers loads a file rightly (all alphas alike), its own way gives the same weights."""
    tensors, _ = kohya(layers(base), lambda layer, rank: 2.0)
    path = save(tmp_path / "kohya.safetensors", tensors)
    theirs = copy.deepcopy(bare)
    with silenced_libraries():
        theirs.load_lora_weights(dict(tensors))
        theirs.fuse_lora()
        theirs.unload_lora_weights()
    before, found = bare.unet.state_dict(), changes_made(bare, path)
    for name, after in theirs.unet.state_dict().items():
        if f"unet.{name.removesuffix('.weight')}" in found:
            assert torch.allclose(
                found[f"unet.{name.removesuffix('.weight')}"], (after - before[name]).double(), atol=1e-6
            )
        else:
            assert torch.equal(after, before[name])


def test_names_of_diffusers(base: Path, bare: Any, tmp_path: Path) -> None:
    tensors, changes = diffusers(layers(base, 5))
    assert_same(changes_made(bare, save(tmp_path / "a.safetensors", tensors)), changes)
    older = {
        k.replace(".lora_A.", ".lora.down.").replace(".lora_B.", ".lora.up."): v
        for k, v in tensors.items()
        if k.startswith("unet")
    }
    part = {layer: change for layer, change in changes.items() if layer.startswith("unet")}
    assert_same(changes_made(bare, save(tmp_path / "b.safetensors", older)), part)


def test_attention_processors_of_2023(base: Path, bare: Any, tmp_path: Path) -> None:
    weights = {k: v for k, v in layers(base).items() if k.startswith("unet") and k.endswith(ATTENTION)}
    tensors, changes = diffusers(weights)
    renamed = {}
    for name, tensor in tensors.items():
        for layer in ATTENTION:
            old = layer.removesuffix(".0")
            name = name.replace(f".{layer}.lora_A.", f".processor.{old}_lora.down.")
            name = name.replace(f".{layer}.lora_B.", f".processor.{old}_lora.up.")
        renamed[name] = tensor
    assert all("processor" in name for name in renamed)
    assert_same(changes_made(bare, save(tmp_path / "a.safetensors", renamed)), changes)


@pytest.mark.parametrize("prefix", ["lycoris_", "lora_transformer_", "base_model.model.", "diffusion_model."])
def test_other_prefixes_of_the_denoiser(base: Path, bare: Any, tmp_path: Path, prefix: str) -> None:
    weights = {k: v for k, v in layers(base, 7).items() if k.startswith("unet")}
    tensors, changes = diffusers(weights)
    joint = "_" if prefix.endswith("_") else "."
    renamed = {}
    for name, tensor in tensors.items():
        layer, _, half = name.removeprefix("unet.").rpartition(".lora_")
        renamed[f"{prefix}{layer.replace('.', joint)}.lora_{half}"] = tensor
    folder = peft_folder(tmp_path / "a", renamed)
    assert_same(changes_made(bare, folder / "adapter_model.safetensors"), changes)


def test_settings_of_peft(base: Path, bare: Any, tmp_path: Path) -> None:
    """Alpha and rank by pattern, and rsLoRA's root."""
    weights = {k: v for k, v in layers(base, 3).items() if k.startswith("unet")}
    tensors, expected = {}, {}
    for seed, (layer, weight) in enumerate(weights.items()):
        own = layer.endswith("conv1")
        down, up = low_rank(weight, 2 if own else 4, seed)
        name = "base_model.model." + layer.removeprefix("unet.")
        tensors |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
        expected[layer] = product(down, up) * (6 / 2**0.5 if own else 3 / 4**0.5)
    more = {"lora_alpha": 3, "alpha_pattern": {"conv1": 6}, "rank_pattern": {r".*\.conv1": 2}, "use_rslora": True}
    folder = peft_folder(tmp_path / "peft", tensors, **more)
    assert_same(changes_made(bare, folder / "adapter_model.safetensors"), expected)
    assert "rank 2" in refusal(peft_folder(tmp_path / "b", tensors, **(more | {"rank_pattern": {}})), base=base)
    (folder / "adapter_config.json").unlink()
    assert "without its adapter_config.json" in refusal(folder, base=base)
    for settings, word in (({"peft_type": "OFT"}, "OFT"), ({"modules_to_save": ["conv_in"]}, "modules_to_save")):
        assert word in refusal(peft_folder(tmp_path / "c", tensors, **(more | settings)), base=base)


def test_settings_in_the_header(base: Path, bare: Any, tmp_path: Path) -> None:
    tensors, changes = diffusers(layers(base, 5))
    content = {}
    for component, alpha in (("unet", 8), ("text_encoder", 2)):
        content |= {f"{component}.r": 4, f"{component}.lora_alpha": alpha, f"{component}.alpha_pattern": {}}
    path = save(tmp_path / "a.safetensors", tensors, {"lora_adapter_metadata": json.dumps(content)})
    expected = {layer: change * (2 if layer.startswith("unet") else 0.5) for layer, change in changes.items()}
    assert_same(changes_made(bare, path), expected)
    del content["text_encoder.r"]
    path = save(tmp_path / "b.safetensors", tensors, {"lora_adapter_metadata": json.dumps(content)})
    assert "no rank and alpha" in refusal(path, base=base)
    path = save(tmp_path / "c.safetensors", tensors, {"lora_adapter_metadata": "{"})
    assert "settings of" in refusal(path, base=base)


def test_a_middle_of_locon(base: Path, bare: Any, tmp_path: Path) -> None:
    layer, weight = next((k, v) for k, v in layers(base).items() if k.endswith("conv1") and v.shape[-1] == 3)
    up, down, middle = (
        random(len(weight), 3, 1, 1, seed=1),
        random(2, weight.shape[1], 1, 1, seed=2),
        random(3, 2, 3, 3, seed=3),
    )
    stem = kohya_stem(layer)
    tensors = {
        f"{stem}.lora_up.weight": up,
        f"{stem}.lora_down.weight": down,
        f"{stem}.lora_mid.weight": middle,
        f"{stem}.alpha": torch.tensor(1.0),
    }
    picture = random(1, weight.shape[1], 5, 5, seed=4).double()
    found = changes_made(bare, save(tmp_path / "a.safetensors", tensors))
    conv = torch.nn.functional.conv2d
    wanted = conv(conv(conv(picture, down.double()), middle.double(), padding=1), up.double()) / 2
    assert torch.allclose(conv(picture, found[layer], padding=1), wanted, atol=1e-6)


def test_changes_written_out_and_norms(base: Path, bare: Any, tmp_path: Path) -> None:
    layer, weight = next(iter(layers(base).items()))
    norm = "unet.down_blocks.0.resnets.0.norm1"
    change, shift = random(*weight.shape, seed=1), random(len(weight), seed=2)
    size = len(bare.unet.get_submodule(norm.removeprefix("unet.")).weight)
    tensors = {
        f"{kohya_stem(layer)}.diff": change,
        f"{kohya_stem(layer)}.diff_b": shift,
        f"{kohya_stem(norm)}.w_norm": random(size, seed=3),
        f"{kohya_stem(norm)}.b_norm": random(size, seed=4),
    }
    found = changes_made(bare, save(tmp_path / "a.safetensors", tensors))
    assert_same(
        found,
        {
            layer: change,
            f"{layer}.bias": shift,
            norm: tensors[f"{kohya_stem(norm)}.w_norm"],
            f"{norm}.bias": tensors[f"{kohya_stem(norm)}.b_norm"],
        },
    )


def peft_reference(bare: Any, config: Any) -> tuple[Weights, Weights]:
    """Weights of a PEFT adapter of random values on the UNet, and the changes PEFT makes when it merges them."""
    from peft import get_peft_model, get_peft_model_state_dict

    unet = copy.deepcopy(bare.unet)
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    with silenced_libraries():
        model: Any = get_peft_model(unet, config)
        for seed, (name, parameter) in enumerate(model.named_parameters()):
            if parameter.requires_grad:
                by_length = "magnitude" in name
                values = random(*parameter.shape, seed=seed, size=0.3)
                parameter.data = parameter.data * 1.5 if by_length else values
        tensors = {name: tensor.clone() for name, tensor in get_peft_model_state_dict(model).items()}
        after = model.merge_and_unload().state_dict()
    changed = {name: after[name].double() - before[name].double() for name in before}
    return tensors, {f"unet.{n.removesuffix('.weight')}": c for n, c in changed.items() if c.any()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["LORA", "DORA", "LOHA", "LOKR"])
def test_as_peft_merges_it(bare: Any, tmp_path: Path, kind: str) -> None:
    import peft

    targets = ["to_q", "to_v", "conv1", "proj_in"]
    if kind in ("LORA", "DORA"):
        config: Any = peft.LoraConfig(r=4, lora_alpha=6, target_modules=targets, use_dora=kind == "DORA")
    elif kind == "LOHA":
        config = peft.LoHaConfig(r=4, alpha=6, target_modules=targets)
    else:
        config = peft.LoKrConfig(r=2, alpha=6, target_modules=targets, use_effective_conv2d=True)
    tensors, changes = peft_reference(bare, config)
    folder = tmp_path / "peft"
    settings = {k: v for k, v in config.to_dict().items() if isinstance(v, int | float | bool | dict)}
    peft_folder(folder, tensors, peft_type=config.peft_type.value, **settings)
    assert_same(changes_made(bare, folder / "adapter_model.safetensors"), changes)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["locon", "loha", "lokr"])
@pytest.mark.parametrize("decompose", [False, True])
def test_as_lycoris_computes_it(base: Path, bare: Any, tmp_path: Path, kind: str, decompose: bool) -> None:
    """Against the forward pass of LyCORIS' own modules, as in training."""
    from importlib import import_module

    with silenced_libraries():
        modules = import_module("lycoris.modules")
    build = {"locon": modules.LoConModule, "loha": modules.LohaModule, "lokr": modules.LokrModule}[kind]
    names = [k for k, v in layers(base, 3).items() if k.startswith("unet") and min(v.shape[:2]) > 8]
    tensors, wrapped = {}, {}
    for seed, layer in enumerate(names):
        module = bare.unet.get_submodule(layer.removeprefix("unet."))
        adapter = build(
            "x", copy.deepcopy(module), 1.0, lora_dim=2, alpha=3.0, weight_decompose=decompose, wd_on_out=seed % 2
        )
        for number, (name, parameter) in enumerate(adapter.named_parameters()):
            size = 0.3 if parameter.ndim > 1 else 0.0
            if "dora" not in name and size:
                parameter.data = random(*parameter.shape, seed=31 * seed + number, size=size)
        wrapped[layer] = adapter.eval()
        state = {**adapter.state_dict(), "alpha": torch.tensor(3.0)}
        tensors |= {f"{kohya_stem(layer)}.{name}": value.detach().clone() for name, value in state.items()}
    found = changes_made(bare, save(tmp_path / "a.safetensors", tensors))
    assert found.keys() == wrapped.keys()
    for layer, adapter in wrapped.items():
        module = copy.deepcopy(bare.unet.get_submodule(layer.removeprefix("unet.")))
        entry = random(2, module.weight.shape[1], *(5,) * (module.weight.ndim - 2), seed=9, size=1.0)
        with torch.no_grad():
            wanted = adapter(entry)
            module.weight += found[layer].float()
            assert torch.allclose(module(entry), wanted, atol=1e-4), layer


def test_several_strengths(base: Path, bare: Any, tmp_path: Path) -> None:
    tensors, changes = diffusers(layers(base, 9))
    path = save(tmp_path / "a.safetensors", tensors)
    assert_same(changes_made(bare, path, 0.25), {layer: change / 4 for layer, change in changes.items()})


def test_half_precision_weights_hold_the_rounded_sum(base: Path, tmp_path: Path) -> None:
    pipeline = load_pipeline(base).to(torch.bfloat16)
    tensors, changes = diffusers({k: v for k, v in layers(base, 9).items() if k.startswith("unet")})
    before = {name: weight.double() for name, weight in pipeline.unet.state_dict().items()}
    apply_adapter(pipeline, read_adapter(save(tmp_path / "a.safetensors", tensors)))
    for layer, change in changes.items():
        name = layer.removeprefix("unet.") + ".weight"
        assert torch.equal(pipeline.unet.state_dict()[name], (before[name] + change).bfloat16())


def refused(bare: Any, tmp_path: Path, tensors: Weights) -> str:
    """The two lines with which a file is refused."""
    with pytest.raises(SuspectError) as caught:
        apply_adapter(copy.deepcopy(bare), read_adapter(save(tmp_path / "bad.safetensors", tensors)))
    assert len(str(caught.value).splitlines()) == 2
    return str(caught.value)


def test_what_is_refused(base: Path, bare: Any, tmp_path: Path) -> None:
    tensors, _ = kohya(layers(base, 9), alpha_by_layer)
    stem = next(iter(tensors)).split(".")[0]
    down, up = f"{stem}.lora_down.weight", f"{stem}.lora_up.weight"

    def broken(change: dict[str, Tensor | None]) -> str:
        return refused(bare, tmp_path, {k: v for k, v in (tensors | change).items() if v is not None})  # type: ignore[misc]

    assert f"lacks {up}" in broken({up: None})
    assert f"lacks {down}" in broken({down: None})
    assert f"{stem}.alpha" in broken({f"{stem}.alpha": None})
    assert "NaN" in broken({up: tensors[up] * float("nan")})
    assert "do not fit together" in broken({up: tensors[up][:, :2]})
    assert "another base" in broken({down: tensors[down][:, :2]})
    assert "no place" in broken(
        {f"lora_unet_nowhere.{part}": torch.ones(4, 4) for part in ("lora_up.weight", "lora_down.weight")}
        | {"lora_unet_nowhere.alpha": torch.tensor(1.0)}
    )
    assert "not one number" in broken({f"{stem}.alpha": torch.ones(2)})
    assert "kind OFT" in broken({f"{stem}.oft_blocks": torch.ones(2)})
    dotted = "unet." + next(iter(layers(base))).removeprefix("unet.")
    twice = {f"{dotted}.lora_A.weight": tensors[down], f"{dotted}.lora_B.weight": tensors[up]}
    assert "both change" in broken(twice | {f"{dotted}.alpha": torch.tensor(1.0)})
    assert "say the same" in broken({f"{stem}.lora_A.weight": tensors[down]})
    idle = {f"lora_unet_nowhere.{part}": torch.zeros(4, 4) for part in ("lora_up.weight", "lora_down.weight")}
    idle["lora_unet_nowhere.alpha"] = torch.tensor(1.0)
    whole = changes_made(bare, save(tmp_path / "whole.safetensors", tensors))
    assert_same(changes_made(bare, save(tmp_path / "idle.safetensors", tensors | idle)), whole)
    assert "changes nothing" in refused(bare, tmp_path, {k: v * 0 for k, v in tensors.items()})
