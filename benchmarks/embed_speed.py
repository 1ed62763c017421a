"""Embedding 20,000 JPEGs at 2 % against `cp -r`, same disk, interleaved.

python -m benchmarks.embed_speed --work W [--files 20000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import Clock, write_result
from protect.embed.write import embed
from protect.pixels.images import rewrite_pixels
from protect.release.plan import Options
from protect.release.record import Keyring


def make(folder: Path, files: int) -> None:
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


def timed_copy(source: Path, target: Path) -> float:
    """Seconds of `cp -r`, written out to disk."""
    start = time.perf_counter()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    os.sync()
    return time.perf_counter() - start


def timed_embed(source: Path, target: Path, home: Path) -> tuple[float, dict[str, float]]:
    """Seconds of `embed`, written out to disk, and when each stage ended."""
    ends: dict[str, float] = {}
    start = time.perf_counter()

    def told(stage: str, done: int, total: int) -> None:
        ends[stage] = time.perf_counter() - start

    embed(source, target, Options(rate=0.02, alignment="twa"), Keyring(home), progress=told)
    os.sync()
    return time.perf_counter() - start, ends


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    clock = Clock()
    source = args.work / "jpegs"
    if not source.exists():
        make(source, args.files)
    copies, embeds, stages = [], [], []
    for i in range(args.rounds):
        copies.append(timed_copy(source, args.work / "cp"))
        shutil.rmtree(args.work / "cp")
        wall, ends = timed_embed(source, args.work / "marked", args.work / f"home{i}")
        shutil.rmtree(args.work / "marked")
        (args.work / "marked.commitment.json").unlink()
        embeds.append(wall)
        stages.append(ends)
        print(copies[-1], wall, ends, flush=True)
    start = time.perf_counter()
    sample = source / "00000.jpg"
    pixels = np.asarray(Image.open(sample).convert("RGBA"))
    for _ in range(20):
        rewrite_pixels(sample, pixels)
    codec = (time.perf_counter() - start) / 20 * int(0.02 * args.files) / (os.cpu_count() or 1)
    bytes_ = sum(p.stat().st_size for p in source.iterdir())
    data = {
        "files": args.files,
        "bytes": bytes_,
        "cp_seconds": copies,
        "embed_seconds": embeds,
        "stage_ends": stages,
        "ratio_of_medians": float(np.median(embeds) / np.median(copies)),
        "carrier_codec_seconds_over_workers": codec,
        "target": "embed <= 2 x cp -r + carriers' codec time / workers",
        "target_met": bool(np.median(embeds) <= 2 * np.median(copies) + codec),
    }
    write_result("embed_speed", data, clock())


if __name__ == "__main__":
    main()
