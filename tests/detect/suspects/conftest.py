"""The tiny model and a LoRA for it, and what they draw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from detect.suspects.images import load_suspect, stacked
from tests.support.weights import QUERIES, SAMPLER, UNET


@pytest.fixture(scope="module")
def plain(base: Path) -> NDArray[np.uint8]:
    """What the base draws."""
    return stacked(load_suspect(base).answer(QUERIES, SAMPLER))


@pytest.fixture
def copy(base: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base, tmp_path / "copy"))


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LoRA of random values on linear and convolution layers and the text encoder, in diffusers format."""
    tensors = {}
    generator = torch.Generator().manual_seed(5)
    for part, file in (("unet", UNET), ("text_encoder", "text_encoder/model.safetensors")):
        for name, weight in load_file(base / file).items():
            wide = part == "unet" and name.startswith(("down_blocks", "mid_block")) and weight.ndim > 1
            if wide or "_proj.weight" in name:
                stem = f"{part}.{name.removesuffix('.weight')}"
                down = (4, *weight.shape[1:])
                up = (weight.shape[0], 4) + (1, 1) * (weight.ndim == 4)
                tensors[f"{stem}.lora_A.weight"] = torch.randn(down, generator=generator) * 0.1
                tensors[f"{stem}.lora_B.weight"] = torch.randn(up, generator=generator) * 0.1
    path = tmp_path_factory.mktemp("lora") / "style.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def lora_pictures(base: Path, lora: Path) -> NDArray[np.uint8]:
    """What the base draws with the LoRA."""
    return stacked(load_suspect(lora, base=base).answer(QUERIES, SAMPLER))
