"""A LoRA put onto its base, with exact accounting: a half-loaded LoRA would be a false acquittal.

Once every tensor of the file is traced to the injected adapter, the LoRA is fused into the base weights
(float32) and the adapter removed: sampling then costs what the base costs.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import (
    PICKLES,
    fingerprint,
    first_line,
    read_names,
    read_tensors,
    refuse_pickle,
    some,
)
from protect.errors import SuspectError

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_KINDS = {".safetensors", *PICKLES}
_FORMATS = "Use diffusers or Kohya format (keys starting with unet., text_encoder., lora_unet_ or lora_te_)."


def weight_files(folder: Path) -> list[Path]:
    """Weight files that lie in a folder itself."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _KINDS) if folder.is_dir() else []


def find_lora(path: Path) -> Path | None:
    """The LoRA file that `path` means: itself, the standard name in a folder, or its only weights file."""
    if path.is_file():
        return path if path.suffix.lower() in _KINDS else None
    if (path / STANDARD_NAME).is_file():
        return path / STANDARD_NAME
    files = weight_files(path)
    safe = [p for p in files if p.suffix.lower() == ".safetensors"] or files
    return safe[0] if len(safe) == 1 else None


def refuse_loose_lora(folder: Path) -> None:
    """Refuse a pipeline folder with a trained LoRA, under its standard name, beside it: loaders pass over that.

    Raises:
        SuspectError: naming the file.
    """
    for path in weight_files(folder):
        if path.stem == Path(STANDARD_NAME).stem:
            raise SuspectError(
                f"{folder} is a whole pipeline with a LoRA beside it, {path.name}, which would not be applied",
                f"Test the LoRA: --model {path} --base {folder}; and the pipeline without it.",
            )


def read_lora(path: Path, allow_pickle: bool) -> dict[str, Tensor]:
    """Every tensor of a LoRA file.

    Raises:
        SuspectError: for a pickle, a corrupt file, or one that holds no LoRA.
    """
    refuse_pickle(path, allow_pickle)
    names = read_names(path)
    if not any("lora" in name for name in names):
        whole = any(name.startswith(("model.diffusion_model.", "down_blocks.", "mid_block.")) for name in names)
        raise SuspectError(
            f"{path} holds no LoRA weights: {len(names)} tensors ({some(names) or 'none'})",
            "It is a whole model in one file: convert it to a diffusers folder first." if whole else _FORMATS,
        )
    return read_tensors(path, names)


def apply_lora(pipeline: Any, path: Path, tensors: dict[str, Tensor]) -> None:
    """Load the LoRA `tensors` of `path` onto `pipeline`, check that all of it arrived, and fuse it.

    Raises:
        SuspectError: if the LoRA does not fit the base or any tensor was left out.
    """
    if not hasattr(pipeline, "load_lora_weights"):
        raise SuspectError(f"{type(pipeline).__name__} takes no LoRA", "Give --base the model it was trained on.")
    try:
        with silenced_libraries():
            expected = _expected(pipeline, tensors)
            source: Any = tensors if path.suffix in PICKLES else str(path)  # a file also brings its metadata
            pipeline.load_lora_weights(source, local_files_only=True, use_safetensors=True)
    except Exception as error:
        raise _load_error(path, error) from error
    injected = _injected(pipeline)
    _check_applied(path, expected, injected)
    with silenced_libraries():
        pipeline.fuse_lora(components=sorted({name.split(".")[0] for name in injected}))
        pipeline.unload_lora_weights()


def _expected(pipeline: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that must arrive: those of the file for a UNet, else after diffusers' own conversion.

    For UNets the conversion only renames (and drops what it does not know, which is what must be noticed);
    for transformers it also splits fused projections. Kohya's alphas become scales, not weights.
    """
    if getattr(pipeline, "unet", None) is not None:
        return {name: tensor for name, tensor in tensors.items() if not name.endswith(".alpha")}
    converted: Any = pipeline.lora_state_dict(dict(tensors))
    return dict(converted[0] if isinstance(converted, tuple) else converted)


def _injected(pipeline: Any) -> dict[str, Tensor]:
    """Parameters of the adapters now inside the pipeline, named component.module.lora_X.…."""
    return {
        f"{component}.{name}": parameter
        for component, module in pipeline.components.items()
        if isinstance(module, torch.nn.Module)
        for name, parameter in module.named_parameters()
        if ".lora_" in name
    }


def _check_applied(path: Path, expected: dict[str, Tensor], injected: dict[str, Tensor]) -> None:
    """Raise SuspectError unless the file and the injected adapters hold the same values, one to one."""
    room = Counter(fingerprint(tensor) for tensor in injected.values() if not tensor.is_meta)
    ignored = []
    for name, tensor in expected.items():
        mark = fingerprint(tensor)
        if room[mark] > 0:
            room[mark] -= 1
        else:
            ignored.append(name)
    if ignored or not expected:
        raise SuspectError(
            f"{path}: {len(ignored)} of {len(expected)} tensors have no place in the base: {some(ignored)}",
            "Give --base the model it was trained on. " + _FORMATS,
        )
    unfilled = [name for name, t in injected.items() if t.is_meta or room[fingerprint(t)] > 0]
    if unfilled:
        raise SuspectError(
            f"{path}: {len(unfilled)} adapter weights got no value: {some(unfilled)}",
            "The file is incomplete: download or export it again.",
        )


def _load_error(path: Path, error: Exception) -> SuspectError:
    """A foreign loading error in this project's words."""
    text = str(error)
    if isinstance(error, KeyError):
        return SuspectError(f"{path} lacks {text}", "The file is incomplete: download or export it again.")
    if "size mismatch" in text:
        mismatch = next(line.strip() for line in text.splitlines() if "size mismatch" in line)
        return SuspectError(
            f"{path} was trained on another base ({mismatch[:200]})",
            "Give --base the model it was trained on.",
        )
    if "not been correctly renamed" in text:
        names = [name.strip() for name in text.split(":", 1)[1].split(",")]
        return SuspectError(f"{path}: {len(names)} keys are not understood: {some(names)}", _FORMATS)
    return SuspectError(
        f"{path} cannot be applied ({first_line(error)})",
        "Give --base the model it was trained on. " + _FORMATS,
    )
