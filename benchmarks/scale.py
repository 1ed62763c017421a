"""Throughput and memory from 10^4 to 10^6 samples in shards. `python -m benchmarks.scale --work W [--samples 10000 …]`

Tiny pictures, 10,000 in each archive, copied by one worker: with painted marks in a thousandth of them, and, at sizes
of its own, with the default, which looks at all pictures and changes half of the captions. Memory is asked of the
system twice a second, of the program and all that it starts together. Processor time is stated beside the time on the
clock, which depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.common import write_result
from benchmarks.embed_cost import protect
from tests.support.datasets import draw

EACH = 10_000
WAYS = {"painted": ("--family", "template", "--alignment", "twa", "--rate", "0.001"), "default": ()}
_STEP = 0.5


def make_shards(folder: Path, samples: int) -> Path:
    """Archives of tiny pictures, 50 different ones, with captions that all differ."""
    folder.mkdir(parents=True)
    bodies = []
    for i in range(50):
        buffer = io.BytesIO()
        draw(i, 32).save(buffer, "PNG")
        bodies.append(buffer.getvalue())
    for shard in range(samples // EACH):
        with (folder / f"{shard:05}.tar").open("wb") as out:
            for i in range(shard * EACH, (shard + 1) * EACH):
                for ending, body in (("png", bodies[i % 50]), ("txt", f"a box in place {i}".encode())):
                    member = tarfile.TarInfo(f"{i:08}.{ending}")
                    member.size = len(body)
                    out.write(member.tobuf() + body + bytes(-len(body) % 512))
            out.write(bytes(1024))
    return folder


def measured(command: list[str], home: Path) -> dict[str, object]:
    """Run a command; its times and memory."""
    environment = os.environ | {"TRACEMARK_HOME": str(home), "OMP_NUM_THREADS": "1"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory: list[float] = []
    watcher = threading.Thread(target=_watch, args=(process, memory))
    watcher.start()
    code = process.wait()
    watcher.join()
    if code != 0:
        raise RuntimeError(f"{command}: exit code {code}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tenths = [max(part) for part in np.array_split(memory, 10) if len(part)]
    return {
        "seconds": round(time.monotonic() - start, 1),
        "processor_seconds": round(used, 1),
        "peak_mib": round(max(memory)),
        "peak_mib_of_each_tenth": [round(one) for one in tenths],
    }


def _watch(process: subprocess.Popen[bytes], memory: list[float]) -> None:
    while process.poll() is None:
        try:
            main = psutil.Process(process.pid)
            memory.append(sum(one.memory_info().rss for one in [main, *main.children(recursive=True)]) / 2**20)
        except psutil.NoSuchProcess:
            pass
        time.sleep(_STEP)


def runs(work: Path, sizes: list[int], options: tuple[str, ...]) -> list[dict[str, object]]:
    """Copies of datasets of several sizes, beside `cp`."""
    rows = []
    for samples in sizes:
        place = work / str(samples)
        source = make_shards(place / "set", samples)
        size = sum(path.stat().st_size for path in source.iterdir())
        command = protect("embed", source, "-o", place / "out", *options, "--workers", "1", "--anyway")
        row = measured(command, place / "home")
        row |= {"samples": samples, "bytes": size, "load": round(os.getloadavg()[1], 1)}
        row["samples_per_processor_second"] = round(samples / float(str(row["processor_seconds"])))
        row["samples_per_second"] = round(samples / float(str(row["seconds"])))
        begun = time.monotonic()
        subprocess.run(["cp", "-r", str(source), str(place / "plain")], check=True)
        row["cp_seconds"] = round(time.monotonic() - begun, 1)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
        shutil.rmtree(place)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--default", type=int, nargs="+", default=[100_000, 300_000])
    given, start = parser.parse_args(), time.monotonic()
    sizes = {"painted": given.samples, "default": given.default}
    found = {way: runs(given.work, sizes[way], options) for way, options in WAYS.items()}
    write_result("scale", found, time.monotonic() - start)


if __name__ == "__main__":
    main()
