"""Adapters and embeddings on their bases: kinds that should be opened exactly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.suspect_kinds.models import Case, Exact, Models, Weights, folder_weights, suspect_weights
from tests.support.adapter_files import KOHYA, RESIZED, Family, families, flux_families, pair, product
from tests.support.adapters import diffusers, kohya, layers, random, save


def expected_after(family: Family, tensors: Weights, base: Weights) -> Weights:
    """All weights of a base after an adapter, by the family's formula."""
    after = family.expected(tensors, layer_weights(base))
    assert after is not None, family.name
    return base | {f"{layer}.weight": weight.float() for layer, weight in after.items()}


def layer_weights(base: Weights) -> Weights:
    """Weights of linear layers and convolutions, by layer."""
    return {
        name.removesuffix(".weight"): weight
        for name, weight in base.items()
        if name.endswith(".weight")
        and weight.ndim in (2, 4)
        and "embedding.weight" not in name
        and not name.startswith("vae.")
        and not name.endswith(("shared.weight", "embed_tokens.weight", "relative_attention_bias.weight"))
    }


def adapter_case(kind: str, base: str, family_of: Callable[[Weights], Family]) -> Exact:
    """An adapter of a family on one of the models."""

    def make(models: Models) -> tuple[Weights, Weights]:
        folder = getattr(models, base)
        before = folder_weights(folder)
        family = family_of(layer_weights(before))
        tensors = family.file(layer_weights(before))
        path = family.write(models.place(), tensors)
        return suspect_weights(path, base=folder), expected_after(family, tensors, before)

    return Exact(kind, make)


def _named(name: str, of: Callable[[Weights], list[Family]]) -> Callable[[Weights], Family]:
    return lambda weights: next(family for family in of(weights) if family.name == name)


def xl_family(weights: Weights) -> Family:
    """SDXL as sd-scripts names it, both text encoders too."""
    stems = {}
    for layer in weights:
        component, _, name = layer.partition(".")
        prefix = {"unet": "lora_unet_", "text_encoder": "lora_te1_text_model_", "text_encoder_2": "lora_te2_"}[
            component
        ]
        stems[prefix + name.replace(".", "_")] = (layer,)
    return Family("kohya, SDXL", stems, pair(*KOHYA, alpha=True, ranks=RESIZED), product(*KOHYA), tuple(stems)[::9])


def _diffusers_family(name: str, component: str) -> Callable[[Weights], Family]:
    halves = ("lora_A.weight", "lora_B.weight")

    def family(weights: Weights) -> Family:
        stems = {layer: (layer,) for layer in weights if layer.startswith(f"{component}.")}
        return Family(name, stems, pair(*halves), product(*halves, scale=1.0), tuple(stems)[::4])

    return family


def _t5_family(weights: Weights) -> Family:
    stems = {
        "lora_te3_" + layer.removeprefix("text_encoder_2.").replace(".", "_"): (layer,)
        for layer in weights
        if layer.startswith("text_encoder_2.")
    }
    return Family("kohya, T5", stems, pair(*KOHYA, alpha=True), product(*KOHYA), tuple(stems)[::2])


SD_FAMILIES = (
    "kohya",
    "diffusers",
    "diffusers of 2023",
    "PEFT",
    "PEFT, DoRA",
    "LyCORIS, DoRA",
    "LoCon",
    "LoHa",
    "LoKr",
    "full",
)
FLUX_FAMILIES = ("kohya, FLUX", "LoHa, FLUX", "ai-toolkit, FLUX")


def adapter_cases() -> list[Case]:
    """Adapters on their bases."""
    cases: list[Case] = [adapter_case(f"SD 1: {name}", "sd", _named(name, families)) for name in SD_FAMILIES]
    cases += [adapter_case(name, "flux", _named(name, flux_families)) for name in FLUX_FAMILIES]
    cases += [
        adapter_case("FLUX: kohya, T5", "flux", _t5_family),
        adapter_case("FLUX: diffusers, text encoder", "flux", _diffusers_family("te", "text_encoder")),
        adapter_case("SDXL: kohya, resized layer by layer, both text encoders", "xl", xl_family),
        adapter_case("SDXL: diffusers", "xl", _diffusers_family("xl", "unet")),
        adapter_case("SD3: diffusers", "sd3", _diffusers_family("sd3", "transformer")),
        adapter_case("SD3: diffusers, second text encoder", "sd3", _diffusers_family("te2", "text_encoder_2")),
    ]
    return cases


def _kohya(models: Models) -> tuple[Weights, Weights]:
    """A Kohya LoRA with alphas that differ by layer, and all weights after it."""
    tensors, changes = kohya(layers(models.sd, 3), lambda layer, rank: rank / 8 if ".attn" in layer else 2.0 * rank)
    before = folder_weights(models.sd)
    return tensors, before | {f"{k}.weight": (before[f"{k}.weight"].double() + c).float() for k, c in changes.items()}


def _alphas(models: Models) -> tuple[Weights, Weights]:
    tensors, expected = _kohya(models)
    return suspect_weights(save(models.place() / "a.safetensors", tensors), base=models.sd), expected


def _pickled(models: Models) -> tuple[Weights, Weights]:
    tensors, expected = _kohya(models)
    torch.save(tensors, path := models.place() / "a.pt")
    return suspect_weights(path, base=models.sd, allow_pickle=True), expected


def _on_pipeline(models: Models) -> tuple[Weights, Weights]:
    tensors, expected = _kohya(models)
    return suspect_weights([models.sd, save(models.place() / "a.safetensors", tensors)]), expected


def _several(models: Models) -> tuple[Weights, Weights]:
    first, expected = _kohya(models)
    second, changes = diffusers(layers(models.sd, 4))
    folder = models.place()
    paths = [save(folder / "a.safetensors", first), save(folder / "b.safetensors", second)]
    before = folder_weights(models.sd)
    for name, after in expected.items():
        change = changes.get(name.removesuffix(".weight"), 0)
        expected[name] = (before[name] + 0.8 * (after - before[name]).double() - 0.5 * change).float()
    return suspect_weights(paths, base=models.sd, scales=[0.8, -0.5]), expected


def _header(models: Models) -> tuple[Weights, Weights]:
    tensors, changes = diffusers(layers(models.sd, 5))
    said = {f"{part}.{key}": value for part in ("unet", "text_encoder") for key, value in (("r", 4), ("lora_alpha", 8))}
    path = save(models.place() / "a.safetensors", tensors, {"lora_adapter_metadata": json.dumps(said)})
    before = folder_weights(models.sd)
    after = {f"{k}.weight": (before[f"{k}.weight"].double() + 2 * c).float() for k, c in changes.items()}
    return suspect_weights(path, base=models.sd), before | after


def _with_embedding(entries: Mapping[str, tuple[int, ...]], base: str, pickled: bool = False) -> Any:
    """A LoRA with an embedding: new rows in the tables of the text encoders, nothing else."""

    def make(models: Models) -> tuple[Weights, Weights]:
        folder, model = models.place(), getattr(models, base)
        unet = {layer: w for layer, w in layer_weights(folder_weights(model)).items() if layer.startswith("unet.")}
        tensors, changes = diffusers(dict(list(unet.items())[::6]))
        vectors = {name: random(*shape, seed=1) for name, shape in entries.items()}
        path = folder / ("words.pt" if pickled else "words.safetensors")
        if pickled:
            torch.save({"string_to_param": {"*": vectors["*"]}, "name": "word"}, path)
        else:
            save(path, vectors)
        lora = save(folder / "a.safetensors", tensors)
        found = suspect_weights([lora, path], base=model, allow_pickle=pickled)
        expected = folder_weights(model)
        expected |= {f"{k}.weight": (expected[f"{k}.weight"].double() + c).float() for k, c in changes.items()}
        for name, rows in vectors.items():
            table = f"text_encoder{'_2' if name == 'clip_g' else ''}."
            key = next(k for k in expected if k.startswith(table) and k.endswith("token_embedding.weight"))
            expected[key] = torch.cat([expected[key], rows.reshape(-1, rows.shape[-1])])
        return found, expected

    return make


def special_cases() -> list[Case]:
    """Adapters by where they lie and what lies beside them."""
    return [
        Exact("SD 1: alphas that differ by layer", _alphas),
        Exact("pickled LoRA, allowed", _pickled),
        Exact("LoRA on a whole pipeline", _on_pipeline),
        Exact("two adapters with strengths", _several),
        Exact("strength in the header (diffusers)", _header),
        Exact("LoRA and textual inversion", _with_embedding({"<word>": (32,)}, "sd")),
        Exact("LoRA and textual inversion of several vectors", _with_embedding({"emb_params": (3, 32)}, "sd")),
        Exact("LoRA and textual inversion of AUTOMATIC1111", _with_embedding({"*": (2, 32)}, "sd", pickled=True)),
        Exact("LoRA and pivotal tuning", _with_embedding({"clip_l": (2, 32)}, "sd")),
        Exact("SDXL: LoRA and pivotal tuning", _with_embedding({"clip_l": (2, 32), "clip_g": (2, 32)}, "xl")),
    ]
