"""Tiny models that stand for SD 1, SDXL, SD3 and FLUX.1, and the two ends a kind of suspect may come to."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from detect.suspects.images import load_suspect
from detect.suspects.images.silence import silenced_libraries
from protect.errors import TracemarkError
from tests.support.flow import build_flux, build_xl
from tests.support.models import build
from tests.support.transformers import build_transformer

Weights = dict[str, Tensor]
UNET = "unet/diffusion_pytorch_model.safetensors"


class Models:
    """Tiny models, made once, and places for what is made of them."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._count = 0

    @cached_property
    def sd(self) -> Path:
        return build(self.work / "sd")

    @cached_property
    def frame(self) -> Path:
        """The same configuration as `sd`, other weights."""
        folder = Path(shutil.copytree(self.sd, self.work / "frame"))
        for path in folder.glob("*/*.safetensors"):
            save_file({k: v * 1.1 for k, v in load_file(path).items()}, path, {"format": "pt"})
        return folder

    @cached_property
    def wide(self) -> Path:
        return build(self.work / "wide", width=64)

    @cached_property
    def xl(self) -> Path:
        return build_xl(self.work / "xl")

    @cached_property
    def sd3(self) -> Path:
        return build_transformer(self.work / "sd3")

    @cached_property
    def flux(self) -> Path:
        return build_flux(self.work / "flux", guided=True)

    def place(self) -> Path:
        """An empty folder."""
        self._count += 1
        folder = self.work / f"case-{self._count:03}"
        folder.mkdir()
        return folder

    def copy(self, model: Path) -> Path:
        """A copy that may be changed."""
        return Path(shutil.copytree(model, self.place() / "model"))


def folder_weights(folder: Path) -> Weights:
    """All weights of a pipeline as diffusers alone loads it."""
    index = json.loads((folder / "model_index.json").read_text())
    absent = {name: None for name, part in index.items() if part == [None, None]}
    with silenced_libraries():
        untyped: Any = DiffusionPipeline
        return pipeline_weights(untyped.from_pretrained(str(folder), **absent))


def pipeline_weights(pipeline: Any) -> Weights:
    """All parameters by component and name, float32."""
    return {
        f"{component}.{name}": parameter.detach().float()
        for component, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
        for name, parameter in part.named_parameters()
    }


def suspect_weights(*args: Any, **kwargs: Any) -> Weights:
    """All weights of a suspect."""
    suspect: Any = load_suspect(*args, **kwargs)
    return pipeline_weights(suspect._pipeline)


@dataclass(frozen=True)
class Exact:
    """A kind that should be opened exactly."""

    kind: str
    make: Callable[[Models], tuple[Weights, Weights]]
    """What the suspect's weights are, and what they should be."""

    def row(self, models: Models) -> dict[str, Any]:
        try:
            found, expected = self.make(models)
        except TracemarkError as error:
            return {"kind": self.kind, "aim": "exact", "got": "refused", "says": str(error)}
        off = largest_error(found, expected)
        return {"kind": self.kind, "aim": "exact", "got": "exact" if off < 1e-5 else "in part", "largest_error": off}


@dataclass(frozen=True)
class Refused:
    """A kind that should be refused, in words that are true."""

    kind: str
    words: str
    """What the two lines must say."""
    make: Callable[[Models], object]
    """Opens it."""

    def row(self, models: Models) -> dict[str, Any]:
        try:
            self.make(models)
        except TracemarkError as error:
            said = str(error)
            true = self.words in said and len(said.splitlines()) == 2
            row = {"kind": self.kind, "aim": "refused", "got": "refused" if true else "refused in other words"}
            return row | {"says": said.replace(str(models.work), "…")}
        return {"kind": self.kind, "aim": "refused", "got": "opened"}


Case = Exact | Refused


def largest_error(found: Weights, expected: Weights) -> float:
    """Largest difference of a weight, relative to the largest value of its array; infinite if arrays are missing."""
    if found.keys() != expected.keys():
        return float("inf")
    errors = [
        float((found[name] - own).abs().max() / own.abs().max().clamp(min=1e-12)) for name, own in expected.items()
    ]
    return max(errors)
