"""Suspects: models under test, loaded strictly.

A model that loads only in part would be acquitted by mistake, so whatever the libraries merely warn about
(weights initialised at random, LoRA keys left out) is a SuspectError here.
"""

from __future__ import annotations

from pathlib import Path

from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect, stacked
from protect.errors import SuspectError

__all__ = ["Answer", "Query", "Sampler", "Suspect", "check_base", "is_pipeline", "load_suspect", "stacked"]


def load_suspect(path: Path, *, base: Path | None = None, device: str = "cpu", allow_pickle: bool = False) -> Suspect:
    """Load a model under test.

    Args:
        path: a diffusers folder, a LoRA file, or a folder with one LoRA file.
        base: the diffusers folder a LoRA goes onto; needed for a LoRA, refused otherwise.
        device: where to sample, as torch names it; float16 on CUDA, float32 elsewhere.
        allow_pickle: read .bin, .ckpt and .pt files too.

    Raises:
        SuspectError: if anything is missing, unsafe, corrupt or left out.
    """
    from detect.suspects.images.lora import refuse_loose_lora
    from detect.suspects.images.pipeline import PipelineSuspect  # seconds of imports, only when needed

    name = path.resolve().name
    if is_pipeline(path):
        if base is not None:
            raise SuspectError(f"{path} is a whole pipeline, but --base {base} was given", "Drop --base.")
        refuse_loose_lora(path)
        return PipelineSuspect(path, None, device, allow_pickle, name)
    lora = _lora_file(path, allow_pickle)
    if base is None:
        raise SuspectError(
            f"{path} is a LoRA, not a whole pipeline, and no base model was given",
            "Add --base FOLDER, the diffusers folder the LoRA was trained on.",
        )
    check_base(base)
    return PipelineSuspect(lora, base, device, allow_pickle, name)


def check_base(base: Path) -> None:
    """Refuse a base that is not a diffusers folder.

    Raises:
        SuspectError: naming it.
    """
    if not is_pipeline(base):
        raise SuspectError(
            f"--base {base} is not a diffusers folder (no model_index.json)",
            "Give a folder saved by diffusers.",
        )


def is_pipeline(path: Path) -> bool:
    """Whether `path` is a diffusers folder; raises SuspectError if there is nothing."""
    if not path.exists():
        raise SuspectError(
            f"no such file or folder: {path}", "Give a local path; download models from a hub beforehand."
        )
    return (path / "model_index.json").is_file()


def _lora_file(path: Path, allow_pickle: bool) -> Path:
    """The LoRA file that `path` means; pickles only if allowed."""
    from detect.suspects.images.lora import find_lora, weight_files
    from detect.suspects.images.weights import refuse_pickle, some

    if (lora := find_lora(path)) is None:
        raise SuspectError(
            f"{path} is neither a diffusers folder (no model_index.json) nor one LoRA file"
            + (f" (it holds {some(p.name for p in found)})" if (found := weight_files(path)) else ""),
            "Give the folder that holds model_index.json, or the .safetensors file itself.",
        )
    refuse_pickle(lora, allow_pickle)
    return lora
