"""Precision, devices and memory: how a pipeline is kept while it draws."""

from __future__ import annotations

import os
from typing import Any

import torch

from detect.suspects.images.foreign import loading_error
from detect.suspects.images.settings import Offload, Precision
from detect.suspects.images.silence import silenced_libraries
from detect.suspects.images.weights import first_line
from protect.errors import SuspectError

SMALL = 128
"""Pictures up to this side in pixels are drawn 32 at a time wherever they are drawn."""
MOST = 32
_GIB = 2**30
_PER_MEGAPIXEL = 3.0
"""GiB that drawing takes for each picture of a megapixel, two bytes a value, guidance counted: a round upper figure."""
_DECODER = 4.5
"""GiB that a VAE takes to decode one such picture; it decodes one at a time."""
_TILED_FROM = 1536
"""Pictures from this side in pixels are decoded in tiles."""
_HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def precision_for(wanted: str, device: str, index: dict[str, Any]) -> torch.dtype:
    """The precision in which a pipeline is loaded.

    Args:
        wanted: a `Precision`; auto is float32 on CPUs, else bfloat16 for transformers (float16 overflows in several)
            and float16 for UNets.
        device: as torch names it.
        index: the pipeline's model_index.json.

    Raises:
        SuspectError: for an unknown device.
    """
    if wanted != Precision.auto:
        return _HALVES[wanted]
    try:
        kind = torch.device(device).type
    except RuntimeError as error:
        raise SuspectError(f"device {device!r} cannot be used ({first_line(error)})", "Use --device cpu.") from error
    if kind == "cpu":
        return torch.float32
    return torch.float16 if "unet" in index else torch.bfloat16


def place(pipeline: Any, device: str, offload: str = Offload.none) -> Any:
    """The pipeline on `device`, ready to draw: its VAE decodes one picture at a time, large ones in tiles.

    Raises:
        SuspectError: if the device cannot be used, or is too small.
    """
    if offload != Offload.none and torch.device(device).type == "cpu":
        raise SuspectError(f"--offload {offload} is of no use on a CPU", "Give an accelerator: --device cuda.")
    try:
        with silenced_libraries():
            if offload == Offload.model:
                pipeline.enable_model_cpu_offload(device=device)
            elif offload == Offload.sequential:
                pipeline.enable_sequential_cpu_offload(device=device)
            else:
                pipeline.to(device)
    except Exception as error:
        if "memory" in str(error).lower():
            raise loading_error(pipeline.name_or_path, error) from error
        raise SuspectError(f"device {device!r} cannot be used ({first_line(error)})", "Use --device cpu.") from error
    return pipeline


def decode_apart(pipeline: Any, side: int) -> bool:
    """Let the VAE decode one picture at a time, and from 1,536 pixels in tiles; whether it is in tiles."""
    vae: Any = getattr(pipeline, "vae", None)
    if side > SMALL and hasattr(vae, "enable_slicing"):
        vae.enable_slicing()
    tiled = side >= _TILED_FROM and hasattr(vae, "enable_tiling")
    if tiled:
        vae.enable_tiling()
    elif hasattr(vae, "disable_tiling"):
        vae.disable_tiling()
    return tiled


def batch_for(side: int, dtype: torch.dtype, memory: float, weights: float) -> int:
    """How many pictures are drawn together: a power of two up to 32.

    Args:
        side: of the pictures, in pixels.
        dtype: of the weights.
        memory: of the device, all of it, in bytes; not what is free, so that a repeat draws alike.
        weights: that lie in it, in bytes.
    """
    if side <= SMALL:
        return MOST
    room = 0.9 * memory - weights - memory_to_draw(side, dtype, 0)
    each = memory_to_draw(side, dtype, 1) - memory_to_draw(side, dtype, 0)
    count = int(room / each)
    return 1 << max(0, min(MOST, max(1, count)).bit_length() - 1)


def memory_to_draw(side: int, dtype: torch.dtype, batch: int) -> float:
    """Bytes that drawing takes beside the weights, at most: what a batch takes, and the decoder of one picture.

    Args:
        side: of the pictures, in pixels.
        dtype: of the weights.
        batch: pictures drawn together.
    """
    megapixels = (side / 1024) ** 2 * dtype.itemsize / 2
    return _GIB * megapixels * (_DECODER + _PER_MEGAPIXEL * batch)


def device_memory(device: str) -> int:
    """All memory of a device in bytes; of the machine for a CPU."""
    place = torch.device(device)
    if place.type == "cuda":
        return int(torch.cuda.get_device_properties(place).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def weights_size(pipeline: Any) -> int:
    """Bytes of all parameters."""
    modules = (part for part in pipeline.components.values() if isinstance(part, torch.nn.Module))
    return sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
