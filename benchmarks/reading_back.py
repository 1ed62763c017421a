"""How long `protect verify` and `protect diff` take beside `cp -r`, and how right the time is that progress foretells.

    python -m benchmarks.reading_back --work W [--files 20000] [--rounds 3]

Rounds are interleaved. What is foretold is read from the terminal's lines: in each stage the first one that comes after
a tenth of the work, against when the stage ended. Stages of less than five seconds are left out: their time is told in
whole seconds. `verify` reads carriers alone, and `diff` all of both copies.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import Clock, write_result
from benchmarks.copy_forms import DIFFERENT, bodies, embedding, make_folder
from benchmarks.embed_cost import PAINTED, measured, protect

SHORTEST = 5.0
_LINE = re.compile(
    r"(?P<stage>[a-z ]+): (?P<done>\d+)/(?P<total>\d+)(?: \(.*?, (?P<left>[\d.]+) (?P<unit>s|min|h) left)?"
)
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


def lines_of(command: list[str], home: Path) -> Iterator[tuple[float, re.Match[str]]]:
    """When each line of progress came, in seconds."""
    environment = os.environ | {"TRACEMARK_HOME": str(home)}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if found := _LINE.match(line.strip()):
                yield time.perf_counter(), found
    if process.returncode not in (0, 5):
        raise RuntimeError(f"{command}: exit code {process.returncode}")


def foretold(command: list[str], home: Path) -> dict[str, dict[str, float]]:
    """By stage: seconds it was said to take in all after a tenth, and seconds it took."""
    stages: dict[str, list[tuple[float, re.Match[str]]]] = {}
    for at, line in lines_of(command, home):
        stages.setdefault(line["stage"], []).append((at, line))
    found = {}
    for stage, told in stages.items():
        start, end = told[0][0], told[-1][0]
        late = [
            (at - start, float(line["left"]) * _UNITS[line["unit"]])
            for at, line in told
            if line["left"] and int(line["done"]) >= 0.1 * int(line["total"])
        ]
        if late and end - start >= SHORTEST:
            found[stage] = {"foretold": sum(late[0]), "took": end - start, "off": sum(late[0]) / (end - start) - 1}
    return found


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    clock, work = Clock(), args.work
    work.mkdir(parents=True, exist_ok=True)
    source = make_folder(work / "files", bodies(DIFFERENT, 384, 40.0), args.files)
    home, copy = work / "home", work / "out"
    estimates = []
    for options in ((), PAINTED):
        estimates.append({"options": list(options), "stages": foretold(embedding(source, copy, *options), home)})
        if not options:
            for left in (copy, home):
                shutil.rmtree(left)
            (work / "out.commitment.json").unlink()
    rows = []
    for _ in range(args.rounds):
        row = {}
        for name, command in {
            "cp": ["cp", "-r", str(source), str(work / "plain")],
            "verify": protect("verify", copy),
            "diff": protect("diff", source, copy),
        }.items():
            row[name], row[f"{name} MiB"] = measured(command, home)
            shutil.rmtree(work / "plain", ignore_errors=True)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    shutil.rmtree(source)
    shutil.rmtree(copy)
    result = {
        "files": args.files,
        "rounds": rows,
        "verify to cp": float(np.median([row["verify"] / row["cp"] for row in rows])),
        "diff to cp": float(np.median([row["diff"] / row["cp"] for row in rows])),
        "progress": estimates,
        "targets": "what is foretold after a tenth is off by 20 % at most",
    }
    write_result("reading_back", result, clock())


if __name__ == "__main__":
    main()
