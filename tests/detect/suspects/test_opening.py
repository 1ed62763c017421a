"""What paths are, and how several make one model."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from detect.suspects.images import load_suspect, stacked
from detect.suspects.images.hub import local_path, name_of
from detect.suspects.images.pipeline import PipelineSuspect
from protect.errors import SuspectError
from tests.support.adapters import diffusers, kohya, layers, merge, save
from tests.support.weights import QUERIES, SAMPLER, UNET, edit, refusal


def drawn(*args: object, **kwargs: object) -> NDArray[np.uint8]:
    return stacked(load_suspect(*args, **kwargs).answer(QUERIES, SAMPLER))  # type: ignore[arg-type]


@pytest.fixture
def two(base: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two LoRAs on layers of which some are shared."""
    first, second = diffusers(layers(base, 3))[0], kohya(layers(base, 4), lambda layer, rank: rank / 2)[0]
    return save(tmp_path / "first.safetensors", first), save(tmp_path / "second.safetensors", second)


def test_several_adapters_with_strengths(base: Path, two: tuple[Path, Path], tmp_path: Path) -> None:
    changes = {layer: 0.8 * change for layer, change in diffusers(layers(base, 3))[1].items()}
    for layer, change in kohya(layers(base, 4), lambda layer, rank: rank / 2)[1].items():
        changes[layer] = changes.get(layer, 0) - 0.5 * change
    both = load_suspect(two, base=base, scales=[0.8, -0.5])
    pictures = stacked(both.answer(QUERIES, SAMPLER))
    assert np.abs(pictures.astype(int) - drawn(merge(base, tmp_path / "merged", changes))).max() <= 1
    assert both.name == "first.safetensors + second.safetensors"
    assert (drawn(two, base=base, scales=[0.8]) == drawn(two, base=base, scales=[0.8, 0.8])).all()


def test_identities_follow_what_a_model_is_made_of(base: Path, two: tuple[Path, Path], lora: Path) -> None:
    def adapter(*models: Path, scales: tuple[float, ...] = ()) -> str:
        return load_suspect(models, base=base, scales=scales).identity["adapter"]

    found = [
        adapter(two[0]),
        adapter(two[1]),
        adapter(*two),
        adapter(*two[::-1]),
        adapter(*two, scales=(0.5,)),
        adapter(two[0], scales=(0.5,)),
    ]
    assert len(set(found)) == len(found)
    assert adapter(two[0], scales=(1.0,)) == found[0] == adapter(two[0])
    weights = load_suspect(base).identity["weights"]
    assert load_suspect(two[0], base=base).identity["base"] == weights
    assert load_suspect([base, two[0]]).identity == load_suspect(two[0], base=base).identity


@pytest.mark.parametrize(
    ("scales", "word"), [([1.0, 2.0, 3.0], "3 strengths for 2"), ([0.0], "other than 0"), ([float("nan")], "number")]
)
def test_strengths_that_are_refused(base: Path, two: tuple[Path, Path], scales: list[float], word: str) -> None:
    assert word in refusal(two, base=base, scales=scales)
    assert "Drop --scale" in refusal(base, scales=[0.5])


def test_two_whole_models(base: Path, copy: Path) -> None:
    assert "two whole models" in refusal([base, copy])


def hub_cache(base: Path, folder: Path) -> Path:
    """A model as the hub's client keeps it: links to blobs."""
    cache = folder / "models--acme--tiny"
    snapshot = cache / "snapshots" / "0a1b2c"
    for number, file in enumerate(sorted(base.rglob("*"))):
        if file.is_file():
            blob = cache / "blobs" / f"{number:04}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, blob)
            link = snapshot / file.relative_to(base)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0a1b2c")
    return cache


def test_a_hub_cache(base: Path, tmp_path: Path, plain: NDArray[np.uint8], two: tuple[Path, Path]) -> None:
    cache = hub_cache(base, tmp_path)
    suspect = load_suspect(cache)
    assert suspect.name == "acme/tiny"
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) == plain).all()
    assert suspect.identity == load_suspect(base).identity
    assert (drawn(two[0], base=cache) == drawn(two[0], base=base)).all()
    shutil.copytree(cache / "snapshots" / "0a1b2c", cache / "snapshots" / "ffff", symlinks=True)
    assert local_path(cache).name == "0a1b2c"
    (cache / "refs" / "main").unlink()
    assert "2 snapshots" in refusal(cache)
    shutil.rmtree(cache / "snapshots" / "0a1b2c")
    shutil.rmtree(cache / "snapshots" / "ffff")
    assert "0 snapshots" in refusal(cache)


def test_names_of_linked_files() -> None:
    assert name_of(Path("hub/models--acme--style/snapshots/0a/lora.safetensors")) == "acme/style/lora.safetensors"
    assert name_of(Path()) == Path.cwd().name


def test_a_base_is_proposed_by_what_the_file_says(base: Path, tmp_path: Path) -> None:
    tensors = diffusers(layers(base, 9))[0]
    path = save(tmp_path / "a.safetensors", tensors, {"ss_sd_model_name": "v1-5-pruned.safetensors"})
    assert "this was v1-5-pruned.safetensors" in refusal(path)


def test_a_folder_with_more_below(base: Path, two: tuple[Path, Path], tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    for place in ("", "text_encoder", "checkpoint-100"):
        (folder / place).mkdir(exist_ok=True)
        shutil.copy(two[0], folder / place / "pytorch_lora_weights.safetensors")
    (folder / "checkpoint-100" / "optimizer.bin").write_bytes(b"x")
    assert "text_encoder/pytorch_lora_weights.safetensors" in refusal(folder, base=base)
    shutil.rmtree(folder / "text_encoder")
    suspect = load_suspect(folder, base=base)
    assert isinstance(suspect, PipelineSuspect) and suspect.notes == ("passed over in its folder: checkpoint-100",)


@pytest.mark.parametrize("name", ["model.gguf", "notes.txt", "picture.png"])
def test_files_that_are_no_weights(base: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"GGUF")
    assert ("GGUF" if name.endswith("gguf") else "neither") in refusal(tmp_path / name, base=base)


WIDTH = 32


@pytest.mark.parametrize(
    ("entries", "called"),
    [
        ({"<style>": (WIDTH,)}, "<style>"),
        ({"emb_params": (2, WIDTH)}, "mine mine_1"),
        ({"clip_l": (3, WIDTH)}, "<s0> <s1> <s2>"),
    ],
)
def test_embeddings_are_added_beside_a_lora(
    base: Path, two: tuple[Path, Path], tmp_path: Path, entries: dict[str, tuple[int, ...]], called: str
) -> None:
    path = save(tmp_path / "mine.safetensors", {name: torch.ones(shape) for name, shape in entries.items()})
    suspect = load_suspect([two[0], path], base=base)
    assert isinstance(suspect, PipelineSuspect)
    assert suspect.notes == (f"mine.safetensors is called up by {called}, which no planned question holds",)
    assert (stacked(suspect.answer(QUERIES, SAMPLER)) == drawn(two[0], base=base)).all()
    word = called.split()[0]
    tokenizer, table = suspect._pipeline.tokenizer, suspect._pipeline.text_encoder.get_input_embeddings().weight
    assert (table[tokenizer.convert_tokens_to_ids(word)] == 1).all()


def test_an_embedding_of_automatic1111(base: Path, two: tuple[Path, Path], tmp_path: Path) -> None:
    torch.save({"string_to_param": {"*": torch.ones(1, WIDTH)}, "name": "neg", "step": 5}, tmp_path / "x.pt")
    assert "--allow-pickle" in refusal([two[0], tmp_path / "x.pt"], base=base)
    suspect = load_suspect([two[0], tmp_path / "x.pt"], base=base, allow_pickle=True)
    assert isinstance(suspect, PipelineSuspect) and "called up by neg" in suspect.notes[0]


def test_embeddings_that_are_refused(base: Path, two: tuple[Path, Path], tmp_path: Path) -> None:
    def message(**entries: torch.Tensor) -> str:
        return refusal([two[0], save(tmp_path / "e.safetensors", entries)], base=base)

    assert f"of {WIDTH}" in message(word=torch.ones(2, 5))
    assert "which the base has not" in message(clip_g=torch.ones(2, WIDTH))
    assert "different numbers" in message(clip_l=torch.ones(2, WIDTH), clip_g=torch.ones(3, WIDTH))
    assert "no vector" in message(word=torch.ones(2, 3, 4))
    assert "NaN" in message(word=torch.full((WIDTH,), float("nan")))
    assert "cannot be added" in message(a=torch.ones(WIDTH))  # a letter that the tokenizer knows
    assert "no question does" in refusal(save(tmp_path / "e.safetensors", {"word": torch.ones(WIDTH)}), base=base)


def test_variants(base: Path, copy: Path, plain: NDArray[np.uint8]) -> None:
    """Half precision for some parts, shards for another, each in its own way of naming."""
    for name in ("vae/diffusion_pytorch_model", "text_encoder/model"):
        (copy / f"{name}.safetensors").rename(copy / f"{name}.fp16.safetensors")
    assert (drawn(copy) == plain).all()
    tensors = load_file(copy / UNET)
    (copy / UNET).unlink()
    names, where = list(tensors), {}
    for number in (1, 2):
        file = f"diffusion_pytorch_model.fp16-0000{number}-of-00002.safetensors"
        part = {name: tensors[name] for name in names[number - 1 :: 2]}
        where |= dict.fromkeys(part, file)
        save_file(part, copy / "unet" / file, {"format": "pt"})
    index = {"metadata": {"total_size": 1}, "weight_map": where}
    (copy / "unet/diffusion_pytorch_model.safetensors.index.fp16.json").write_text(json.dumps(index))
    assert (drawn(copy) == plain).all()
    (copy / "unet" / file).unlink()
    assert "lacks 1 of 2 parts" in refusal(copy)


@pytest.mark.parametrize("place", ["tokenizer", "tokenizer_2"])
def test_tokenizers_that_know_few_words(tmp_path: Path, place: str) -> None:
    from tests.support.transformers import build_transformer

    folder = build_transformer(tmp_path / "sd3")
    for file in (folder / place).iterdir():
        if file.name in ("vocab.json", "merges.txt", "tokenizer.json"):
            file.unlink()
    assert f"{place} is no whole tokenizer" in refusal(folder)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, copy: Path) -> None:
    from detect.suspects.images.foreign import loading_error

    for error, line in (
        (ModuleNotFoundError("No module named 'nowhere.inner'"), "pip install nowhere"),
        (ImportError("NoTokenizer requires the nolib library but it was not found"), "pip install nolib"),
        (ValueError("Couldn't instantiate the backend tokenizer: you need to have tiktoken"), "pip install tiktoken"),
        (AttributeError("module diffusers has no attribute NewPipeline"), "pip install -U diffusers"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "--offload model"),
        (ValueError("requires trust_remote_code"), "plain pipeline"),
    ):
        found = loading_error(copy, error)
        assert isinstance(found, SuspectError) and line in found.advice
    assert "Download or export" in loading_error(copy, ValueError("broken")).advice


def test_pipelines_that_need_pictures(copy: Path) -> None:
    edit_index(copy, "StableDiffusionImg2ImgPipeline")
    assert "needs a picture" in refusal(copy)


def edit_index(folder: Path, kind: str) -> None:
    index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": kind}
    (folder / "model_index.json").write_text(json.dumps(index))


def test_nan_in_a_pipeline_is_named(copy: Path) -> None:
    edit(copy / UNET, lambda tensors: tensors | {"conv_in.bias": tensors["conv_in.bias"] * float("nan")})
    assert "conv_in.bias" in refusal(copy)


def test_tensors_of_a_denoiser_that_are_not_used(copy: Path) -> None:
    """A deeper model under the configuration of another, or something packed in."""
    edit(copy / UNET, lambda tensors: tensors | {"down_blocks.7.resnets.0.conv1.weight": torch.ones(4, 4, 3, 3)})
    message = refusal(copy)
    assert "would not be used" in message and "down_blocks.7" in message


def test_quantised_weights(copy: Path) -> None:
    config = json.loads((copy / "unet/config.json").read_text()) | {
        "quantization_config": {"quant_method": "bitsandbytes"}
    }
    (copy / "unet/config.json").write_text(json.dumps(config))
    assert "quantised weights (bitsandbytes)" in refusal(copy)


def test_an_adapter_of_another_base_says_which(base: Path, tmp_path: Path) -> None:
    tensors = {"lora_unet_x.lora_up.weight": torch.ones(4, 2), "lora_unet_x.lora_down.weight": torch.ones(2, 4)}
    path = save(tmp_path / "a.safetensors", tensors, {"ss_base_model_version": "sdxl_base_v1-0"})
    assert "this was sdxl_base_v1-0" in refusal(path, base=base)
