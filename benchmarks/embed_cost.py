"""What embedding costs: time against `cp -r`, memory for large photographs, time and memory of a dry run.

python -m benchmarks.embed_cost --work W [--files 20000] [--rounds 5]

Every figure is of a process of its own. Rounds are interleaved: `cp -r`, `protect embed`, `cp -rl` and
`protect embed --link`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import Clock, counted_arguments, write_result

PROTECT = "from cli import protect_main; protect_main()"
BETWEEN = """
import os, resource, subprocess, sys, time
start = time.perf_counter()
quiet = subprocess.DEVNULL
code = subprocess.run(sys.argv[1:], stdout=quiet, stderr=quiet).returncode
os.sync()
print(code, time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
_WORDS = 6_000
PAINTED = ("--family", "template", "--alignment", "twa")
"""A painted release, 2 % by default."""


def make_jpegs(folder: Path, files: int) -> None:
    """Noisy 384 x 384 JPEGs of at least 100 KB; 50 different ones, each written many times."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    bodies = []
    for i in range(50):
        path = folder / f"{i}.jpg"
        Image.fromarray(rng.integers(0, 256, (384, 384, 3), dtype=np.uint8)).save(path, quality=90)
        bodies.append(path.read_bytes())
        path.unlink()
    assert min(map(len, bodies)) >= 100_000, min(map(len, bodies))
    with (folder / "metadata.jsonl").open("w") as lines:
        for i in range(files):
            (folder / f"{i:05}.jpg").write_bytes(bodies[i % 50])
            lines.write(f'{{"file_name": "{i:05}.jpg", "text": "picture number {i}"}}\n')


def make_photographs(folder: Path, count: int = 24) -> None:
    """Pictures of 12 megapixels, as smooth as photographs."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    with (folder / "metadata.jsonl").open("w") as lines:
        for i in range(count):
            small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
            small.resize((4000, 3000), Image.Resampling.BICUBIC).save(folder / f"{i:02}.jpg", quality=92)
            lines.write(f'{{"file_name": "{i:02}.jpg", "text": "a photograph of place {i}"}}\n')


def make_captions(folder: Path, count: int = 10_000) -> None:
    """Tiny pictures with captions of 100 words each, out of a large vocabulary with many rare words."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(2)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(folder / "0.png")
    body = (folder / "0.png").read_bytes()
    words = np.array([f"word{chr(97 + i % 26)}{i}" for i in range(_WORDS)])
    common = np.minimum(rng.zipf(1.2, (count, 100)), _WORDS) - 1
    with (folder / "metadata.jsonl").open("w") as lines:
        for i in range(count):
            (folder / f"{i}.png").write_bytes(body)
            lines.write(f'{{"file_name": "{i}.png", "text": "{" ".join(words[common[i]])}"}}\n')


def measured(command: list[str], home: Path | None = None) -> tuple[float, float]:
    """Wall seconds of a command and the peak memory of its process in MiB; all it wrote is on disk at the end.

    A small process in between starts it: one that this one forked would begin with this one's memory as its peak.
    """
    environment = os.environ | ({"TRACEMARK_HOME": str(home)} if home else {})
    done = subprocess.run(
        [sys.executable, "-c", BETWEEN, *command], stdout=subprocess.PIPE, check=True, text=True, env=environment
    )
    code, seconds, peak = done.stdout.split()[-3:]
    if code not in ("0", "5"):
        raise RuntimeError(f"{command}: exit code {code}")
    return float(seconds), float(peak) / 1024


def protect(*arguments: object) -> list[str]:
    """A command line of `protect`."""
    return [sys.executable, "-c", PROTECT, *map(str, arguments)]


def copies(work: Path, files: int, rounds: int) -> dict[str, object]:
    """Embedding 2 % beside `cp -r`, with copies and with links."""
    source = work / "jpegs"
    if not source.exists():
        make_jpegs(source, files)
    rows: list[dict[str, float]] = []
    for i in range(rounds):
        row: dict[str, float] = {}
        for name, command in {
            "cp": ["cp", "-r", str(source), str(work / "out")],
            "embed": protect("embed", source, "-o", work / "out", *PAINTED, "--anyway"),
            "cp_link": ["cp", "-rl", str(source), str(work / "out")],
            "embed_link": protect("embed", source, "-o", work / "out", *PAINTED, "--anyway", "--link"),
        }.items():
            home = work / f"home-{name}-{i}"
            row[name], row[f"{name}_mib"] = measured(command, home)
            shutil.rmtree(work / "out")
            (work / "out.commitment.json").unlink(missing_ok=True)
            shutil.rmtree(home, ignore_errors=True)
        rows.append(row)
        print(row, flush=True)
    return {
        "files": files,
        "bytes": sum(p.stat().st_size for p in source.iterdir()),
        "rounds": rows,
        "median_ratio_copy": float(np.median([r["embed"] / r["cp"] for r in rows])),
        "median_ratio_link": float(np.median([r["embed_link"] / r["cp"] for r in rows])),
        "target": "copy <= 2, link <= 0.5, both of the wall time of cp -r",
    }


def photographs(work: Path) -> dict[str, object]:
    """Peak memory for 24 photographs of 12 megapixels, all of them carriers, by family."""
    source = work / "photographs"
    if not source.exists():
        make_photographs(source)
    found: dict[str, object] = {}
    for family in ("template", "spread", "tint", "warp"):
        command = protect(
            "embed",
            source,
            "-o",
            work / "out",
            "--rate",
            "1.0",
            "--family",
            family,
            "--alignment",
            "twa",
            "--slots",
            "1",
            "--anyway",
        )
        seconds, peak = measured(command, work / "home-photographs")
        shutil.rmtree(work / "out")
        (work / "out.commitment.json").unlink(missing_ok=True)
        found[family] = {"seconds": seconds, "peak_mib": peak}
        print(family, seconds, peak, flush=True)
    return {
        "pictures": 24,
        "pixels": 12_000_000,
        "cores": len(os.sched_getaffinity(0)),
        "families": found,
        "target": "peak <= 1024 MiB at any number of cores",
    }


def dry_run(work: Path) -> dict[str, object]:
    """A dry run over 10,000 captions of 100 words, by alignment."""
    source = work / "captions"
    if not source.exists():
        make_captions(source)
    found: dict[str, object] = {}
    for alignment in ("twa", "twa-conjunction", "twa-double", "waa"):
        command = protect(
            "embed", source, "-o", work / "out", "--family", "template", "--alignment", alignment, "--dry-run"
        )
        seconds, peak = measured(command, work / "home-captions")
        found[alignment] = {"seconds": seconds, "peak_mib": peak}
        print(alignment, seconds, peak, flush=True)
    return {"captions": 10_000, "words": 100, "alignments": found, "target": "<= 5 s, <= 300 MiB"}


def main() -> None:
    """Command line."""
    args = counted_arguments(__doc__, files=20_000, rounds=5)
    clock = Clock()
    data = {
        "dry_run": dry_run(args.work),
        "photographs": photographs(args.work),
        "copies": copies(args.work, args.files, args.rounds),
    }
    write_result("embed_cost", data, clock())


if __name__ == "__main__":
    main()
