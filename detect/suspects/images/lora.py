"""Which weight files are meant by a path that is no whole pipeline."""

from __future__ import annotations

import re
from pathlib import Path

from detect.suspects.images.weights import PICKLES, check_shards, is_component_file, some
from protect.errors import SuspectError

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_PEFT_NAMES = ("adapter_model.safetensors", "adapter_model.bin")
_KINDS = {".safetensors", *PICKLES}
EARLIER = re.compile(r"checkpoint-\d+")
"""Sub-folders with states that a trainer left on its way."""
_NO_MODEL = re.compile(r"(?:optimizer|scheduler|scaler|random_states_\d+|training_args|rng_state)\.\w+")
"""What trainers keep beside their weights, to go on from there."""


def weight_files(folder: Path) -> list[Path]:
    """Weight files that lie in a folder itself."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(p for p in files if p.suffix.lower() in _KINDS and not _NO_MODEL.fullmatch(p.name))


def find_weights(path: Path) -> list[Path]:
    """The weight file that a path means: itself, or the only one in a folder; several only as parts of one model.

    Raises:
        SuspectError: if it is nothing of that sort, or several files could be meant.
    """
    if path.is_file():
        if path.suffix.lower() in _KINDS:
            return [path]
        raise _nothing(path, [])
    files = weight_files(path)
    safe = [file for file in files if file.suffix.lower() == ".safetensors"] or files
    if (path / "config.json").is_file() and safe and all(is_component_file(file.name) for file in safe):
        check_shards(path, safe)
        return safe
    deeper = _below(path)
    if len(safe) == 1 and not deeper:
        return safe
    raise _nothing(path, files + deeper)


def _below(folder: Path) -> list[Path]:
    """Weight files in sub-folders, but for the states that a trainer left on its way."""
    inside = [path for path in folder.glob("*/") if folder.is_dir() and not EARLIER.fullmatch(path.name)]
    return [file for sub in sorted(inside) for file in sorted(sub.rglob("*")) if file.suffix.lower() in _KINDS]


def find_lora(path: Path) -> Path | None:
    """The LoRA file that `path` means: itself, the standard name in a folder, or its only weights file."""
    if (path / STANDARD_NAME).is_file():
        return path / STANDARD_NAME
    try:
        return find_weights(path)[0]
    except SuspectError:
        return None


def _nothing(path: Path, files: list[Path]) -> SuspectError:
    if path.suffix.lower() == ".gguf":
        return SuspectError(f"{path} is a GGUF file, which is not opened here", "Ask for it as .safetensors.")
    if files:
        return SuspectError(
            f"{path} is neither a diffusers folder (no model_index.json) nor one weights file "
            f"(it holds {some(file.relative_to(path).as_posix() for file in files)})",
            "Give the one that you mean, or several: --model A --model B.",
        )
    return SuspectError(
        f"{path} is neither a diffusers folder (no model_index.json) nor one LoRA file",
        "Give the folder that holds model_index.json, or the .safetensors file itself.",
    )
