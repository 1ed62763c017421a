"""Whole pipelines: folders that diffusers saved, loaded strictly."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from detect.suspects.images.accounting import check_filled
from detect.suspects.images.foreign import loading_error
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import choose_files, read_index
from protect.errors import SuspectError

_AGAIN = "Download or export it again."
_FROM_PICTURES = re.compile(r"Img2Img|Inpaint|ControlNet|Upscale|Pix2Pix|Depth2Img|ImageVariation|Edit|Redux|Fill")
_LEAST_WORDS = 0.5
"""Share of a text encoder's vocabulary that its tokenizer must know; encoders are padded to round numbers."""


def load_pipeline(path: Path, *, allow_pickle: bool = False, dtype: torch.dtype = torch.float32) -> Any:
    """A diffusers folder as a pipeline on the CPU, every weight traced to a file.

    Args:
        path: the folder.
        allow_pickle: read pickled weights too.
        dtype: precision in which weights are kept; parts that their library wants in float32 stay so (T5's `wo`).

    Raises:
        SuspectError: if anything is missing, corrupt, pickled or would be initialised at random.
    """
    variant, files = choose_files(path, allow_pickle)
    refuse_quantised(path, files)
    options = loading_options(path) | {"use_safetensors": not allow_pickle or None, "torch_dtype": dtype}
    if variant:
        options["variant"] = variant
    try:
        with silenced_libraries():
            loader: Any = DiffusionPipeline  # untyped
            pipeline = loader.from_pretrained(str(path), **options)
    except Exception as error:
        raise loading_error(path, error) from error
    check_parts(path, pipeline)
    for name, paths in files.items():
        check_filled(path, name, getattr(pipeline, name), paths)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def refuse_quantised(path: Path, parts: Iterable[str]) -> None:
    """Raise SuspectError for a component whose weights are kept in a few bits: they open only as their tool likes."""
    for name in parts:
        config = json.loads((path / name / "config.json").read_text(encoding="utf-8"))
        if kind := (config.get("quantization_config") or {}).get("quant_method"):
            raise SuspectError(
                f"{path / name} holds quantised weights ({kind}), which are not opened here",
                "Ask for the same model in float16 or bfloat16.",
            )


def loading_options(path: Path) -> dict[str, Any]:
    """What a pipeline is loaded without: safety checkers, watermarks, and what its index leaves out on purpose."""
    index = read_index(path)
    options: dict[str, Any] = {"local_files_only": True}
    options |= {name: None for name, part in index.items() if part == [None, None]}  # as a T5 is
    if "safety_checker" in index:
        options |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if "StableDiffusionXL" in str(index["_class_name"]):
        options["add_watermarker"] = False  # else it stamps a mark of its own wherever invisible-watermark is installed
    return options


def check_parts(path: Path, pipeline: Any) -> None:
    """Refuse what cannot be asked with words, tokenizers without words and schedulers without settings.

    Loaders make the latter up silently.

    Raises:
        SuspectError: naming it.
    """
    _check_kind(path, pipeline)
    for name, tokenizer in pipeline.components.items():
        if name.startswith("tokenizer") and tokenizer is not None:
            _check_tokenizer(path / name, tokenizer, getattr(pipeline, name.replace("tokenizer", "text_encoder"), None))
    settings = path / "scheduler" / "scheduler_config.json"
    if settings.is_file() and not json.loads(settings.read_text(encoding="utf-8")):
        raise SuspectError(f"{settings} holds no settings of the scheduler", _AGAIN)


def _check_kind(path: Path, pipeline: Any) -> None:
    """Refuse a pipeline that does not draw pictures from words alone."""
    kind, parameters = type(pipeline).__name__, inspect.signature(pipeline.__call__).parameters
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    trouble = ""
    if "num_frames" in parameters:
        trouble = "makes videos"
    elif "prompt" not in parameters:
        trouble = "takes no words"
    elif set(needed) - {"prompt"} or _FROM_PICTURES.search(kind):
        trouble = f"needs {', '.join(needed) or 'a picture'}"
    if trouble:
        raise SuspectError(f"{path} is a {kind}, which {trouble}", "Test a pipeline that draws from words alone.")


def _check_tokenizer(path: Path, tokenizer: Any, encoder: Any) -> None:
    """Refuse a tokenizer that knows far fewer words than its text encoder."""
    words = len(tokenizer)
    table = encoder.get_input_embeddings() if hasattr(encoder, "get_input_embeddings") else None
    expected = len(table.weight) if table is not None else 0
    if words < max(10, _LEAST_WORDS * expected):
        of = f" of {expected:,}" if expected else ""
        raise SuspectError(f"{path} is no whole tokenizer ({words:,}{of} tokens)", _AGAIN)


def native_size(pipeline: Any) -> int | None:
    """Side in pixels of the pictures a pipeline draws unless told otherwise, if it says."""
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    config = getattr(model, "config", None)
    latent = getattr(pipeline, "default_sample_size", None) or getattr(config, "sample_size", None)
    scale = getattr(pipeline, "vae_scale_factor", None)
    return latent * scale if isinstance(latent, int) and isinstance(scale, int) else None
