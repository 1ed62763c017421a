"""Which file is meant by a path to an adapter."""

from __future__ import annotations

from pathlib import Path

from detect.suspects.images.weights import PICKLES
from protect.errors import SuspectError

STANDARD_NAME = "pytorch_lora_weights.safetensors"
_KINDS = {".safetensors", *PICKLES}


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
