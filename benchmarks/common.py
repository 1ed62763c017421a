"""What every measurement writes down, and exact intervals."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from detect.run import versions

RESULTS = Path(__file__).parent / "results"


def interval(hits: int, n: int, confidence: float = 0.95) -> dict[str, Any]:
    """k of n with its exact (Clopper-Pearson) interval."""
    bounds = stats.binomtest(hits, n).proportion_ci(confidence_level=confidence, method="exact")
    return {"k": hits, "n": n, "share": hits / n, "low": bounds.low, "high": bounds.high, "confidence": confidence}


def mean_interval(values: list[float]) -> dict[str, Any]:
    """Mean of paired differences with its 95 % t interval."""
    n = len(values)
    if n < 2:
        return {"n": n, "values": values}
    mean = sum(values) / n
    sem = (sum((v - mean) ** 2 for v in values) / (n - 1) / n) ** 0.5
    half = float(stats.t.ppf(0.975, n - 1)) * sem
    return {"n": n, "mean": mean, "low": mean - half, "high": mean + half, "values": values}


def write_result(name: str, data: dict[str, Any], seconds: float) -> Path:
    """Write `results/name.json` with machine, versions, commit and command."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    record = {
        "command": "python -m benchmarks." + shlex.join([Path(sys.argv[0]).stem, *sys.argv[1:]]),
        "seconds": round(seconds, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit.stdout.strip(),
        **data,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(path, file=sys.stderr)
    return path


@dataclass(frozen=True, slots=True)
class Share:
    """What one process of a benchmark is to do."""

    stage: str
    work: Path
    part: int
    parts: int


def share_of_work(doc: str | None, stages: tuple[str, ...] = ("train", "judge")) -> Share:
    """Parse the command line of a benchmark in stages; training in parts uses one thread per process."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", default="0/1", help="share of this process, as I/N")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    part, parts = map(int, args.part.split("/"))
    if args.stage == "train":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // parts))
    return Share(args.stage, args.work, part, parts)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.start
