"""Runs that are killed at random moments and repeated end as undisturbed ones. `python -m benchmarks.interruptions`

A run writes a protected copy of 120 samples. It is killed (`kill -9`) at a random moment and repeated until it ends;
what it leaves is compared with an undisturbed run's: the hash over the hashes of all files, and the samples. On Ray, a
worker is killed in every run, too. In a bucket, the service is stopped and started again during the run.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from benchmarks.common import write_result
from protect.buckets import place
from protect.embed.write import embed
from protect.execution.engine import Engine, Threads, make_engine
from protect.execution.processes import CONTEXT, Processes
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from tests.protect.embed import test_forms as forms
from tests.support.buckets import Service, service
from tests.support.datasets import hash_of_hashes

PAINTED = Options(rate=0.1, family="template", alignment="twa", decoys=99, alpha=0.05)
SECRET = secret_from_seed(7, "interruptions")
FORMS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "folder, captions in a table": (forms.jsonl, 1),
    "folder, captions beside": (forms.sidecars, 1),
    "tar shards": (forms.shards, 1),
    "tar shards, two processes": (forms.shards, 2),
    "parquet shards": (forms.parquet_folder, 1),
}
RAY = 0
COUNT = 120
_PORT = 6399


class _AlwaysProcesses(Processes):
    """However little there is to do."""

    worth = 0.0


def run(source: str, output: str, home: str, workers: int) -> None:
    """Write a copy; with no workers of its own on a cluster."""
    engine: Engine = _AlwaysProcesses(workers) if workers > 1 else Threads(1) if workers else make_engine("ray", 2)
    engine.worth = 0.0
    embed(place(source), place(output), PAINTED, Keyring(Path(home)), secret=SECRET, engine=engine)


@dataclass
class Tally:
    """What happened to the runs of a form."""

    kills: int = 0
    copies: int = 0
    same: int = 0
    lost: int = 0
    """Samples that a copy lacks."""
    worker_kills: int = 0
    stops: int = 0
    failures: list[str] = field(default_factory=list)


def _started(source: str, output: str, home: Path, workers: int) -> BaseProcess:
    CONTEXT.set_forkserver_preload(["protect.embed.copy", "benchmarks.interruptions"])
    process = CONTEXT.Process(target=run, args=(source, output, str(home), workers))
    process.start()
    return process


def _ended(process: BaseProcess, tally: Tally) -> bool:
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        tally.failures.append(f"exit code {process.exitcode}")
        raise SystemExit(f"a run failed: {tally}")
    return process.exitcode == 0


def _judge(tally: Tally, output: Path, expected: str) -> None:
    tally.copies += 1
    tally.same += hash_of_hashes(output) == expected
    tally.lost += COUNT - sum(1 for _ in open_dataset(output).records())


def killed(source: Path, work: Path, workers: int, kills: int, during: Callable[[Tally], None] | None = None) -> Tally:
    """Kill runs until so many were killed, and compare all that ended."""
    tally, rng = Tally(), random.Random(f"{source.name} {workers}")
    _made(work / "usual")
    _ended(_started(str(source), str(work / "usual" / "first"), work / "usual" / "another-home", workers), tally)
    start = time.monotonic()
    _ended(_started(str(source), str(work / "usual" / "out"), work / "usual" / "home", workers), tally)
    usual, expected = time.monotonic() - start, hash_of_hashes(work / "usual" / "out")
    while tally.kills < kills:
        here = Path(tempfile.mkdtemp(dir=work))
        ended = False
        while not ended:
            process = _started(str(source), str(here / "out"), here / "home", workers)
            helper = threading.Thread(target=during, args=(tally,)) if during else None
            if helper:
                helper.start()
            process.join(rng.uniform(0.1 * usual, 0.95 * usual) if tally.kills < kills else None)
            if process.is_alive() and process.pid:
                os.kill(process.pid, signal.SIGKILL)
                tally.kills += 1
            if helper:
                helper.join()
            ended = _ended(process, tally) or (here / "out").exists()  # killed after all was done
        _judge(tally, here / "out", expected)
        shutil.rmtree(here)
    return tally


def on_ray(source: Path, work: Path, kills: int) -> Tally:
    """The same on a cluster of two workers, one of which is killed in every run."""
    command = [Path(sys.executable).with_name("ray"), "start", "--head", "--block", "--disable-usage-stats"]
    options = [f"--port={_PORT}", "--num-cpus=2", "--include-dashboard=false", f"--object-store-memory={256 << 20}"]
    folder = tempfile.mkdtemp(prefix="ray-")
    cluster = subprocess.Popen([*command, *options, f"--temp-dir={folder}"], stdout=subprocess.DEVNULL)
    os.environ["RAY_ADDRESS"] = f"127.0.0.1:{_PORT}"
    try:
        time.sleep(20)

        def kill_worker(tally: Tally) -> None:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                for process in psutil.Process(cluster.pid).children(recursive=True):
                    if process.name().startswith("ray::_run"):
                        process.kill()
                        tally.worker_kills += 1
                        return
                time.sleep(0.01)

        return killed(source, work, RAY, kills, kill_worker)
    finally:
        processes = psutil.Process(cluster.pid).children(recursive=True)
        cluster.terminate()
        cluster.wait(60)
        for process in processes:
            if process.is_running():
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
        del os.environ["RAY_ADDRESS"]


def in_buckets(source: Path, work: Path, rounds: int) -> Tally:
    """Runs from bucket to bucket; the service is stopped in each, and the run killed in every second one."""
    tally, rng = Tally(), random.Random("buckets")
    work.mkdir()
    with pytest.MonkeyPatch.context() as patch, service(patch) as running:
        running.fill("marked", source, "set")
        start = time.monotonic()
        _ended(_started(str(source), str(work / "on-a-disk"), work / "home", 1), tally)
        _ended(_started("s3://marked/set", "s3://marked/usual", work / "home-usual", 1), tally)
        usual, expected = time.monotonic() - start, running.holds("marked", "usual/")
        for number in range(rounds):
            output, home = f"s3://marked/out-{number}", work / f"home-{number}"
            process = _started("s3://marked/set", output, home, 1)
            process.join(rng.uniform(0.2, 0.4 * usual))
            _interrupt(running, tally)
            if number % 2 and process.is_alive() and process.pid:
                process.join(rng.uniform(0, 0.3 * usual))
                if process.is_alive():
                    os.kill(process.pid, signal.SIGKILL)
                    tally.kills += 1
            if not _ended(process, tally):
                _ended(_started("s3://marked/set", output, home, 1), tally)
            found = running.holds("marked", f"out-{number}/")
            tally.copies += 1
            tally.same += found == expected
            tally.lost += len(expected.keys() - found.keys())
        if {n: running.holds("marked", "usual/")[n] for n in expected} != {
            path.name: path.read_bytes() for path in (work / "on-a-disk").iterdir()
        }:
            tally.failures.append("not what is written on a disk")
    return tally


def _interrupt(running: Service, tally: Tally) -> None:
    running.stop()
    time.sleep(1.0)
    running.start()
    tally.stops += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--ray", type=int, default=20)
    parser.add_argument("--buckets", type=int, default=10)
    given, start, rows = parser.parse_args(), time.monotonic(), dict[str, Tally]()
    forms.COUNT = COUNT
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        sources = {name: make(_made(work / f"set-{i}")) for i, (name, (make, _)) in enumerate(FORMS.items())}
        if given.buckets:
            rows["tar shards, bucket to bucket"] = in_buckets(sources["tar shards"], work / "buckets", given.buckets)
            print(rows, file=sys.stderr, flush=True)
        for number, (name, (_, workers)) in enumerate(FORMS.items()):
            if given.kills:
                rows[name] = killed(sources[name], _made(work / str(number)), workers, given.kills // len(FORMS))
                print(name, rows[name], file=sys.stderr, flush=True)
        if given.ray:
            rows["tar shards, Ray"] = on_ray(sources["tar shards"], _made(work / "ray"), given.ray)
    total = {name: sum(getattr(row, name) for row in rows.values()) for name in ("kills", "copies", "same", "lost")}
    write_result(
        "interruptions",
        {"samples": COUNT, "total": total, "runs": {name: vars(row) for name, row in rows.items()}},
        time.monotonic() - start,
    )


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
