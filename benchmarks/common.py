"""What every measurement writes down, exact intervals, and marked copies that are made once."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from scipy import stats

from detect.training.options import FinetuneOptions
from detect.trial.judge import versions
from protect.embed.write import embed
from protect.files import pretty_json, write_atomic
from protect.formats import open_dataset
from protect.formats.record import Record
from protect.keys.keyring import Keyring
from protect.marks import BUILT_IN
from protect.marks.family import Pixels
from protect.pixels.measure import on_white
from protect.pixels.picture import read_rgba
from protect.release.bound import BoundRelease, bind
from protect.release.plan import Options

RESULTS = Path(__file__).parent / "results"
PAINTED = Options(rate=0.02, family="template", slots=1, steps=12)
"""A painted release of one slot."""
TUNING = FinetuneOptions(method="lora", rank=16, steps=300, batch=64, learning_rate=3e-3, text_encoder=True)
"""How most suspects under painted releases were trained: eight passes over the sample dataset."""


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


def _shown(before: str, argument: str) -> str:
    """An argument as the record names it: a path of this machine by what stands before it."""
    if not argument.startswith("/"):
        return argument
    return "PATH" if before.startswith("/") else before.lstrip("-").upper()


def write_result(name: str, data: dict[str, Any], seconds: float) -> Path:
    """Write `results/name.json` with machine, versions of libraries and families, commit and command."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    record = {
        "command": "python -m benchmarks." + shlex.join([Path(sys.argv[0]).stem, *map(_shown, sys.argv, sys.argv[1:])]),
        "seconds": round(seconds, 1),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPU cores",
        "python": platform.python_version(),
        "versions": versions(),
        "commit": commit.stdout.strip(),
        "family_versions": {name: family.version for name, family in sorted(BUILT_IN.items())},
        **data,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(path, file=sys.stderr)
    return path


def run_stages(
    doc: str | None,
    train: Callable[[Path, int, int], None],
    judge: Callable[[Path], None],
    prepare: Callable[[Path], object],
    further: Mapping[str, Callable[[Path], None]] | None = None,
) -> None:
    """The command line of a benchmark in stages; training in parts uses its share of the cores.

    Args:
        doc: text of --help.
        train: called with (work, part, parts).
        judge: called with (work,).
        prepare: called with (work,) before either.
        further: other stages by name, called with (work,) and not prepared for.
    """
    further = further or {}
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=["train", "judge", *further])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--part", default="0/1", help="share of this process, as I/N")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.stage in further:
        further[args.stage](args.work)
        return
    with args.work.with_name(args.work.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parts that start together must not prepare together
        prepare(args.work)
    if args.stage == "judge":
        judge(args.work)
        return
    part, parts = map(int, args.part.split("/"))
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // parts))
    train(args.work, part, parts)


def measured_once(path: Path, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was measured, read back if it was before; so a stopped benchmark goes on where it was."""
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_bytes())
        return known
    found = measure()
    path.parent.mkdir(exist_ok=True)
    write_atomic(path, pretty_json(found))
    return found


def keyring_in(folder: Path) -> Keyring:
    """A keyring of its own in a folder."""
    return Keyring(folder.absolute())


def marked_copy(source: Path, target: Path, options: Options, keyring: Keyring, secret: bytes) -> BoundRelease:
    """A copy marked with a throw-away key, embedded once; read back if it is there."""
    if target.exists():
        return bind(keyring.load(target.name), keyring.store)
    return embed(source, target, options, keyring, secret=secret).bound


def marked_in_turn(source: Path, steps: Iterable[tuple[Path, Options, Keyring, bytes]]) -> Iterator[BoundRelease]:
    """Releases in one dataset, each planted upon the one before: a model that learns the last copy answers for all.

    Args:
        source: the dataset.
        steps: for each release its copy's folder, what is planted, the keyring that keeps it, and its secret.
    """
    for target, options, keyring, secret in steps:
        yield marked_copy(source, target, options, keyring, secret)
        source = target


def counted_arguments(doc: str | None, **counts: int) -> argparse.Namespace:
    """The command line of a benchmark that needs a folder to work in, `--work`, and some numbers.

    Args:
        doc: text of --help.
        counts: the numbers by option, with their usual values.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    for name, usual in counts.items():
        parser.add_argument(f"--{name}", type=int, default=usual)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    return args


def gathered(records: Iterable[Record], folder: Path) -> Path:
    """A dataset of these samples, whole once it has its name."""
    partial, lines = folder.with_name(folder.name + ".partial"), []
    partial.mkdir(exist_ok=True)
    for record in records:
        (partial / record.key).write_bytes(record.read())
        lines.append(json.dumps({"file_name": record.key, **record.captions}, ensure_ascii=False))
    (partial / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return partial.rename(folder)


def pictures_of(folder: Path, keys: Collection[str]) -> list[Pixels]:
    """Some pictures of a dataset, RGB over white, in the order of the keys."""
    held = {r.key: r for r in open_dataset(folder).records() if r.key in keys}
    return [on_white(read_rgba(held[key].read())) for key in keys]


def captions_of(folder: Path) -> list[str]:
    """The captions of a dataset."""
    return [record.caption for record in open_dataset(folder).records()]


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    def __call__(self) -> float:
        return time.perf_counter() - self.start
