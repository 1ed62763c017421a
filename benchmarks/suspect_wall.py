"""What testing costs beside drawing: a suspect with a melted LoRA against bare sampling of the same pictures.

Interleaved, in alternating order, on the miniature; wall time and this process's CPU time, since other work may share
the machine. And what memory models of true size need, by their parameters and the rule that chooses batches.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline

from benchmarks.true_models import FLUX, SD, SD3, SDXL, denoiser
from detect.suspects.images import Query, Sampler, load_suspect
from detect.suspects.images.memory import batch_for
from detect.suspects.images.silence import silenced_libraries
from protect.miniature import miniature_path
from tests.support.adapters import diffusers, layers, save

ROUNDS, PICTURES, STEPS = 10, 8, 8
_GIB = 2**30


def measure(work: Path) -> dict[str, Any]:
    """Ratios of suspect to bare sampling, and memory."""
    torch.set_num_threads(1)
    lora = save(work / "lora.safetensors", diffusers(layers(miniature_path()))[0])
    loading = {"bare": _timed(_bare)[1], "suspect": _timed(lambda: load_suspect(lora, base=miniature_path()))[1]}
    pipeline, suspect = _bare(), load_suspect(lora, base=miniature_path())
    queries = [Query(f"picture {number}", number) for number in range(PICTURES)]

    def bare() -> object:
        return pipeline(
            prompt=[query.prompt for query in queries],
            generator=[torch.Generator("cpu").manual_seed(query.seed) for query in queries],
            num_inference_steps=STEPS,
            guidance_scale=3.0,
            output_type="np",
        ).images

    rounds = _interleaved(bare, lambda: suspect.answer(queries, Sampler(STEPS, 3.0)))
    ratios = [after / before for (before, _), (after, _) in rounds]
    cpu = [after / before for (_, before), (_, after) in rounds]
    return {
        "what": f"a LoRA on every layer of the miniature, {PICTURES} pictures of {STEPS} steps, one thread",
        "rounds": ROUNDS,
        "wall_over_bare_median": statistics.median(ratios),
        "wall_over_bare": ratios,
        "cpu_over_bare_median": statistics.median(cpu),
        "cpu_over_bare": cpu,
        "seconds_bare_median": statistics.median(before for (before, _), _ in rounds),
        "loading_seconds": loading,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "true_sizes": true_sizes(),
    }


def _bare() -> Any:
    """The miniature as diffusers alone loads it."""
    untyped: Any = DiffusionPipeline
    with silenced_libraries():
        pipeline = untyped.from_pretrained(str(miniature_path()))
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def _interleaved(
    one: Callable[[], object], other: Callable[[], object]
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """(wall, CPU) seconds of both in each round, in alternating order; a first round warms up."""
    one(), other()
    found = []
    for number in range(ROUNDS):
        first, second = (one, other) if number % 2 == 0 else (other, one)
        times = [_timed(first)[::-1], _timed(second)[::-1]]
        found.append((times[0], times[1]) if number % 2 == 0 else (times[1], times[0]))
    return found


def true_sizes() -> list[dict[str, Any]]:
    """Parameters of architectures of true size, the memory of their weights, and the batches chosen for them."""
    rows = []
    for name, side, count in _architectures():
        weights = {
            str(dtype).removeprefix("torch."): count * dtype.itemsize for dtype in (torch.float32, torch.bfloat16)
        }
        batches = {
            f"{memory} GiB": batch_for(side, torch.bfloat16, memory * _GIB, weights["bfloat16"])
            for memory in (16, 24, 48, 80, 141)
        }
        gib = {precision: round(size / _GIB, 2) for precision, size in weights.items()}
        rows.append({"model": name, "side": side, "parameters": count, "weights_gib": gib, "batch_bfloat16": batches})
    return rows


def _architectures() -> list[tuple[str, int, int]]:
    """Denoisers and text encoders without their weights; text encoders by their published sizes."""
    with torch.device("meta"), silenced_libraries():
        sd, sdxl, sd3, flux = (denoiser(kind) for kind in (SD, SDXL, SD3, FLUX))
    clip_l, clip_g, t5, vae = 123_060_480, 694_659_840, 4_762_310_656, 83_653_863
    sizes = {
        SD: (512, sd, clip_l),
        SDXL: (1024, sdxl, clip_l + clip_g),
        SD3: (1024, sd3, clip_l + clip_g),
        "SD 3 medium": (1024, sd3, clip_l + clip_g + t5),
        FLUX: (1024, flux, clip_l + t5),
    }
    return [
        (name, side, sum(p.numel() for p in model.parameters()) + texts + vae)
        for name, (side, model, texts) in sizes.items()
    ]
