"""A suspect that diffusers can run: a pipeline folder, with or without a LoRA."""

from __future__ import annotations

import importlib.metadata
import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from numpy.typing import NDArray

from detect.suspects.images.adapters import apply_adapter, read_adapter
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect
from detect.suspects.images.weights import (
    SETTING_SUFFIXES,
    check_filled,
    choose_files,
    first_line,
    folder_digest,
    read_index,
)
from protect.errors import SuspectError
from protect.files import sha256_file

TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
VERSIONS = ("torch", "diffusers", "transformers", "peft")
SMALL = 128
"""Pictures up to this side in pixels are drawn 32 at a time, larger ones 4 at a time."""


def load_pipeline(path: Path, *, allow_pickle: bool = False) -> Any:
    """A diffusers folder as a float32 pipeline on the CPU, every weight traced to a file.

    Raises:
        SuspectError: if anything is missing, corrupt, pickled or would be initialised at random.
    """
    variant, files = choose_files(path, allow_pickle)
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": not allow_pickle or None}
    index = read_index(path)
    options |= {name: None for name, part in index.items() if part == [None, None]}  # left out on purpose, as a T5 is
    if "safety_checker" in index:
        options |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    if "StableDiffusionXL" in str(index["_class_name"]):
        options["add_watermarker"] = False  # else it stamps a mark of its own wherever invisible-watermark is installed
    if variant:
        options["variant"] = variant
    try:
        with silenced_libraries():
            loader: Any = DiffusionPipeline  # untyped
            pipeline = loader.from_pretrained(str(path), **options).to(torch.float32)
    except Exception as error:
        raise SuspectError(
            f"{path} cannot be loaded as a pipeline ({first_line(error)})", "Download or export it again."
        ) from error
    _check_parts(path, pipeline)
    for name, paths in files.items():
        check_filled(path, name, getattr(pipeline, name), paths)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _check_parts(path: Path, pipeline: Any) -> None:
    """Refuse tokenizers without words and schedulers without settings: loaders make them up silently."""
    for name in ("tokenizer", "tokenizer_2"):
        tokenizer = getattr(pipeline, name, None)
        if tokenizer is not None and len(tokenizer) < 10:
            raise SuspectError(
                f"{path / name} is no whole tokenizer ({len(tokenizer)} tokens)", "Download or export it again."
            )
    settings = path / "scheduler" / "scheduler_config.json"
    if settings.is_file() and not json.loads(settings.read_text(encoding="utf-8")):
        raise SuspectError(f"{settings} holds no settings of the scheduler", "Download or export it again.")


def native_size(pipeline: Any) -> int | None:
    """Side in pixels of the pictures a pipeline draws unless told otherwise, if it says."""
    model = getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)
    config = getattr(model, "config", None)
    latent = getattr(pipeline, "default_sample_size", None) or getattr(config, "sample_size", None)
    scale = getattr(pipeline, "vae_scale_factor", None)
    return latent * scale if isinstance(latent, int) and isinstance(scale, int) else None


def move(pipeline: Any, device: str) -> Any:
    """The pipeline on `device`, float16 on CUDA and float32 elsewhere."""
    try:
        dtype = torch.float16 if torch.device(device).type == "cuda" else torch.float32
        with silenced_libraries():
            return pipeline.to(device, dtype)
    except Exception as error:
        raise SuspectError(f"device {device!r} cannot be used ({first_line(error)})", "Use --device cpu.") from error


class PipelineSuspect(Suspect):
    """A diffusers pipeline, loaded strictly.

    Args:
        path: a diffusers folder, or a LoRA file when `base` is given.
        base: the folder the LoRA goes onto.
        device: where to sample, as torch names it.
        allow_pickle: read pickled weights too.
        name: what reports call it.
    """

    def __init__(self, path: Path, base: Path | None, device: str, allow_pickle: bool, name: str) -> None:
        self.name = name
        adapter = read_adapter(path, allow_pickle) if base else None
        pipeline = load_pipeline(base or path, allow_pickle=allow_pickle)
        if adapter:
            apply_adapter(pipeline, adapter)
        hashes = (
            {"adapter": sha256_file(path), "base": folder_digest(base)} if base else {"weights": folder_digest(path)}
        )
        self._pipeline = move(pipeline, device)
        configuration = {"configuration": folder_digest(base or path, SETTING_SUFFIXES)}
        self.identity = hashes | configuration | _settings(self._pipeline)

    def answer(self, queries: Sequence[Query], sampler: Sampler) -> list[Answer]:
        """Pictures for `queries`, all of one size.

        Every query has its own generator, so its picture depends on the others by rounding at most.

        Raises:
            SuspectError: if the pipeline fails or its outputs are not finite.
        """
        if not queries:
            raise SuspectError("no queries to answer", "Plan at least one query.")
        side = sampler.size or native_size(self._pipeline) or SMALL + 1
        batches = _batches(queries, 32 if side <= SMALL else 4)
        return [Answer(picture) for batch in batches for picture in self._draw(batch, sampler)]

    def characters_read(self, prompt: str) -> int | None:
        """The longest reach of its text encoders (see `Suspect.characters_read`)."""
        tokenizers = [part for name in TOKENIZERS if (part := getattr(self._pipeline, name, None)) is not None]
        default = inspect.signature(self._pipeline.__call__).parameters.get("max_sequence_length")
        limit = default.default if default is not None and isinstance(default.default, int) else None
        with silenced_libraries():
            reaches = [_reach(tokenizer, prompt, limit) for tokenizer in tokenizers]
        known = [reach for reach in reaches if reach is not None]
        return max(known) if known and len(known) == len(reaches) else None

    def _draw(self, queries: Sequence[Query], sampler: Sampler) -> NDArray[np.uint8]:
        """One batch, uint8 (n, height, width, 3)."""
        more: dict[str, Any] = {} if sampler.size is None else {"height": sampler.size, "width": sampler.size}
        if sampler.negative:
            more["negative_prompt"] = [sampler.negative] * len(queries)
        try:
            with silenced_libraries(), torch.inference_mode():
                images = self._pipeline(
                    prompt=[query.prompt for query in queries],
                    generator=[torch.Generator("cpu").manual_seed(query.seed) for query in queries],
                    num_inference_steps=sampler.steps,
                    guidance_scale=sampler.guidance,
                    output_type="np",
                    **more,
                ).images
        except Exception as error:
            raise SuspectError(
                f"{self.name} failed on {len(queries)} queries ({first_line(error)})",
                "Check the sampler's size and steps, and the memory of the device.",
            ) from error
        if not np.isfinite(images).all():
            raise SuspectError(
                f"{self.name} returned NaN pixels among {len(queries)} outputs",
                "Its weights are damaged or overflow in half precision: try --device cpu.",
            )
        return np.asarray(np.round(np.clip(images, 0, 1) * 255), dtype=np.uint8)


def _reach(tokenizer: Any, prompt: str, limit: int | None) -> int | None:
    """Characters that fit into a tokenizer's window; None if it does not tell where its tokens stand."""
    if not getattr(tokenizer, "is_fast", False):
        return None
    window = min(tokenizer.model_max_length, limit or tokenizer.model_max_length)
    room = max(1, window - tokenizer.num_special_tokens_to_add())
    places = tokenizer(prompt, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    return len(prompt) if len(places) <= room else int(places[room - 1][1])


def _batches(queries: Sequence[Query], size: int) -> Iterator[Sequence[Query]]:
    return (queries[start : start + size] for start in range(0, len(queries), size))


def _settings(pipeline: Any) -> dict[str, str]:
    """Pipeline class, scheduler, device, precision and library versions."""
    scheduler = {k: v for k, v in pipeline.scheduler.config.items() if k not in ("_name_or_path", "_diffusers_version")}
    scheduler["_class_name"] = type(pipeline.scheduler).__name__
    return {
        "pipeline": type(pipeline).__name__,
        "scheduler": json.dumps(scheduler, sort_keys=True, default=str),
        "device": pipeline.device.type,
        "precision": str(pipeline.dtype).removeprefix("torch."),
    } | {name: importlib.metadata.version(name) for name in VERSIONS}
