"""Many damaged files, one after the other, in a process of its own: a library may end it."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from protect.execution.processes import CONTEXT
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

ENDED = "ended the program"
_SILENT = 120.0
"""Seconds after which a case counts as one that never ends."""


@dataclass
class Outcome:
    """What became of the cases of a target."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[int, str] = field(default_factory=dict)
    """By number of the case; the last lines of what was raised."""


def case(name: str, number: int) -> bytes:
    """A damaged file."""
    return mutated(list(TARGETS[name].seeds()), random.Random(f"{name} {number}"))


def run(name: str, count: int, first: int = 0) -> Outcome:
    """Read so many damaged files of a target."""
    outcome, number = Outcome(), first
    while number < first + count:
        for done, became, trouble in _in_child(name, number, first + count):
            outcome.counts[became] += 1
            if trouble:
                outcome.faults[done] = trouble
            number = done + 1
    return outcome


def _in_child(name: str, start: int, end: int) -> Iterator[tuple[int, str, str]]:
    """Cases in a child; the last is the one that ended it, if one did."""
    CONTEXT.set_forkserver_preload(["tests.fuzz.targets", "pyarrow.parquet"])
    ours, theirs = CONTEXT.Pipe(duplex=False)
    child = CONTEXT.Process(target=_child, args=(theirs, name, start, end))
    child.start()
    theirs.close()
    try:
        for number in range(start, end):
            try:
                if not ours.poll(_SILENT):
                    yield number, "never ended", "no answer"
                    return
                became, trouble = ours.recv()
            except EOFError:
                child.join()
                yield number, ENDED, f"exit code {child.exitcode}"
                return
            yield number, became, trouble
    finally:
        ours.close()
        child.kill()
        child.join()


def _child(answers: Connection, name: str, start: int, end: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries complain there
    warnings.simplefilter("ignore")
    target, room = TARGETS[name], Path(tempfile.mkdtemp())
    seeds = list(target.seeds())
    for number in range(start, end):
        folder = room / "case"
        folder.mkdir()
        try:
            answers.send((target.read(mutated(seeds, random.Random(f"{name} {number}")), folder), ""))
        except BrokenPipeError:
            break
        except BaseException:
            answers.send(("fault", "\n".join(traceback.format_exc().splitlines()[-9:])))
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(room, ignore_errors=True)
