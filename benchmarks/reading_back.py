"""How long `protect verify` and `protect diff` take beside `cp -r`, and how right the time is that progress foretells.

    python -m benchmarks.reading_back --work W [--files 20000] [--rounds 3]

Rounds are interleaved. What is foretold is read from the terminal's lines: in each stage the first one that comes after
a tenth of the work, against when the stage ended. Stages of less than five seconds are left out: their time is told in
whole seconds. `verify` reads carriers alone, and `diff` all of both copies.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.common import Clock, counted_arguments, write_result
from benchmarks.copy_forms import DIFFERENT, bodies, embedding, make_folder, ratio, removed, rounds
from benchmarks.embed_cost import PAINTED, protect

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
    args = counted_arguments(__doc__, files=20_000, rounds=3)
    clock, work = Clock(), args.work
    source = make_folder(work / "files", bodies(DIFFERENT, 384, 40.0), args.files)
    home, copy = work / "home", work / "out"
    estimates = []
    for options in ((), PAINTED):
        estimates.append({"options": list(options), "stages": foretold(embedding(source, copy, *options), home)})
        if not options:
            for left in (copy, home, work / "out.commitment.json"):
                removed(left)
    commands = {
        "cp": ["cp", "-r", str(source), str(work / "plain")],
        "verify": protect("verify", copy),
        "diff": protect("diff", source, copy),
    }
    rows = rounds(work, commands, args.rounds, ["plain"])
    for left in (source, copy):
        removed(left)
    result = {
        "files": args.files,
        "rounds": rows,
        "verify to cp": ratio(rows, "verify", "cp"),
        "diff to cp": ratio(rows, "diff", "cp"),
        "progress": estimates,
        "targets": "what is foretold after a tenth is off by 20 % at most",
    }
    write_result("reading_back", result, clock())


if __name__ == "__main__":
    main()
