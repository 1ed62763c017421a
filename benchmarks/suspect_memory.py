"""Peak memory of suspects of true size: opened, and drawing one step, each in a process of its own.

    python -m benchmarks.suspect_memory --work W

Random weights in the precision that is tested, written to W and removed again; the CPU draws. FLUX.1 is cut to a few
layers, since its activations do not depend on their number; for the whole of it the formula stands.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import Clock, measured_once, write_result
from benchmarks.suspect_wall import true_sizes
from benchmarks.true_models import FLUX, SD, SD3, SDXL, SIDES, build
from detect.suspects.images import Query, Sampler, load_suspect
from detect.suspects.images.memory import memory_to_draw, weights_size

_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Case:
    """One model, and how it draws."""

    model: str
    dtype: str
    batch: int = 1
    depth: Mapping[str, int] = field(default_factory=dict)
    """Of the denoiser, where it is not the true one."""
    t5_layers: int | None = None
    """Of FLUX.1's T5, which has 24."""

    @property
    def name(self) -> str:
        """Of its files."""
        return re.sub(r"\W+", "-", f"{self.model} {self.dtype} {self.batch}".lower())


CASES = (
    Case(SD, "bfloat16"),
    Case(SD, "bfloat16", batch=4),
    Case(SD, "float32"),
    Case(SDXL, "bfloat16"),
    Case(SD3, "bfloat16"),
    Case(FLUX, "bfloat16", depth={"num_layers": 1, "num_single_layers": 2}, t5_layers=1),
    Case(SDXL, "bfloat16", batch=2),
    Case(SD3, "bfloat16", batch=2),
)


def status(line: str) -> float:
    """A line of this process's state, in GiB."""
    said = Path("/proc/self/status").read_text()
    return int(re.findall(rf"^{line}:\s+(\d+) kB", said, re.MULTILINE)[0]) / 2**20


def forget_peak() -> None:
    """Count the largest size (VmHWM) anew from here."""
    Path("/proc/self/clear_refs").write_text("5")


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Open and draw, in this process, which does nothing else."""
    torch.set_num_threads(1)
    forget_peak()
    before, dtype = status("VmRSS"), getattr(torch, case.dtype)
    suspect = load_suspect(folder, dtype=case.dtype, batch=case.batch)
    opening, opened = status("VmHWM"), status("VmRSS")
    forget_peak()
    start = time.perf_counter()
    queries = [Query(f"picture {number}", number) for number in range(case.batch)]
    answers = suspect.answer(queries, Sampler(steps=1, guidance=5.0, size=SIDES[case.model]))
    assert len(answers) == case.batch
    untyped: Any = suspect
    weights = weights_size(untyped._pipeline)
    return {
        "weights_gib": weights / _GIB,
        "process_before_gib": before,
        "peak_opening_gib": opening,
        "opened_gib": opened,
        "peak_drawing_gib": status("VmHWM"),
        "drawing_seconds": time.perf_counter() - start,
        "formula_gib": (weights + memory_to_draw(SIDES[case.model], dtype, case.batch)) / _GIB,
    }


def row(case: Case, work: Path) -> dict[str, Any]:
    """Build, measure and remove; both in processes that end, so that this one stays small."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        place = Path(folder) / "model"
        _apart(build, case.model, place, getattr(torch, case.dtype), dict(case.depth), case.t5_layers)
        found = _apart(measure, case, place)
    found["beyond_process_and_weights_gib"] = (
        found["peak_drawing_gib"] - found["process_before_gib"] - found["weights_gib"]
    )
    found["within_formula"] = found["peak_drawing_gib"] - found["process_before_gib"] <= found["formula_gib"]
    return {**asdict(case), "side": SIDES[case.model], **found}


def _apart(work: Any, *args: Any) -> Any:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def by_formula() -> list[dict[str, Any]]:
    """What one picture takes by the formula, for models of true size."""
    rows = []
    for size in true_sizes():
        for precision in ("bfloat16", "float32"):
            dtype = getattr(torch, precision)
            drawing = memory_to_draw(size["side"], dtype, 1) / _GIB
            weights = size["parameters"] * dtype.itemsize / _GIB
            rows.append({"model": size["model"], "dtype": precision, "gib": weights + drawing})
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cases", type=int, default=len(CASES), help="so many of them, from the first")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    rows = []
    for case in CASES[: args.cases]:
        rows.append(measured_once(args.work / f"{case.name}.json", partial(row, case, args.work)))
        print(rows[-1], flush=True)
    write_result("suspect_memory", {"rows": rows, "by_formula": by_formula()}, clock())


if __name__ == "__main__":
    main()
