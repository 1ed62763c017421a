"""Suspects: models under test, loaded strictly.

A model that loads only in part would be acquitted by mistake, so whatever the libraries merely warn about
(weights initialised at random, LoRA keys left out) is a SuspectError here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detect.suspects.images.hub import local_path
from detect.suspects.images.suspect import Answer, Query, Sampler, Suspect, stacked
from protect.errors import SuspectError

__all__ = ["Answer", "Query", "Sampler", "Suspect", "check_base", "is_pipeline", "load_suspect", "stacked"]


def load_suspect(
    models: Path | Sequence[Path],
    *,
    base: Path | None = None,
    device: str = "cpu",
    allow_pickle: bool = False,
    scales: Sequence[float] = (),
    dtype: str = "auto",
    offload: str = "none",
    batch: int | None = None,
    alone: bool = False,
) -> Suspect:
    """Load a model under test.

    Args:
        models: a diffusers folder, a hub's cache of one, a checkpoint, an adapter; or several that make one model.
        base: the diffusers folder that adapters go onto, or that a single file takes its configuration from.
        device: where to sample, as torch names it.
        allow_pickle: read .bin, .ckpt and .pt files too.
        scales: strengths of the adapters in their order; one for all, none for 1.
        dtype: `auto`, `float32`, `float16` or `bfloat16` (`memory.precision_for`).
        offload: `none`, `model` or `sequential` (`memory.Offload`).
        batch: pictures drawn together; chosen by the device's memory if None.
        alone: take a pipeline without the other weights in its folder.

    Raises:
        SuspectError: if anything is missing, unsafe, corrupt or left out.
    """
    from detect.suspects.images.memory import precision_for  # seconds of imports, only when needed
    from detect.suspects.images.opening import open_model
    from detect.suspects.images.pipeline import PipelineSuspect
    from detect.suspects.images.weights import read_index

    paths = [models] if isinstance(models, Path) else list(models)
    ground = next((local_path(path) for path in paths if is_pipeline(path)), base and local_path(base))
    index = read_index(ground) if ground and is_pipeline(ground) else {}
    precision = precision_for(dtype, device, index)
    opened = open_model(paths, base, scales=scales, allow_pickle=allow_pickle, dtype=precision, alone=alone)
    return PipelineSuspect(opened, device, precision, offload=offload, batch=batch)


def check_base(base: Path) -> None:
    """Refuse a base that is not a diffusers folder.

    Raises:
        SuspectError: naming it.
    """
    if not is_pipeline(base):
        raise SuspectError(
            f"--base {base} is not a diffusers folder (no model_index.json)", "Give a folder saved by diffusers."
        )


def is_pipeline(path: Path) -> bool:
    """Whether `path` is a diffusers folder; raises SuspectError if there is nothing."""
    return (local_path(path) / "model_index.json").is_file()
