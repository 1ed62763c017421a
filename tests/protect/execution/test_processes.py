"""Processes in order; errors come through, and nobody is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.processes import CONTEXT, map_in_processes


@dataclass(frozen=True)
class Work:
    """Squares numbers, and does as it is told."""

    budget: MemoryBudget
    die_at: int = -1
    fail_at: int = -1

    def __call__(self, number: int) -> tuple[int, int]:
        if number == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == self.fail_at:
            raise InputError("seven cannot be squared", "Use eight.")
        with self.budget.hold(60):
            time.sleep(0.005 * (number % 2))
        return number * number, os.getpid()


def test_results_come_in_order_from_other_processes_that_share_a_budget() -> None:
    found = list(map_in_processes(Work(MemoryBudget(100, CONTEXT)), range(20), 2))
    assert [square for square, _ in found] == [n * n for n in range(20)]
    assert len({process for _, process in found} - {os.getpid()}) == 2
    assert not multiprocessing.active_children()


def test_an_error_reaches_the_caller_with_its_advice() -> None:
    with pytest.raises(InputError) as refusal:
        list(map_in_processes(Work(MemoryBudget(100, CONTEXT), fail_at=7), range(20), 2))
    assert (refusal.value.what, refusal.value.advice) == ("seven cannot be squared", "Use eight.")
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(InputError, match="ended without a word"):
        list(map_in_processes(Work(MemoryBudget(100, CONTEXT), die_at=3), range(20), 2))
    assert not multiprocessing.active_children()


def test_whoever_stops_asking_stops_the_work() -> None:
    start = time.monotonic()
    with closing(map_in_processes(time.sleep, [0.0, 60.0, 60.0], 2)) as results:
        next(results)
    assert time.monotonic() - start < 30 and not multiprocessing.active_children()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_the_parent(tmp_path: Path, ending: signal.Signals) -> None:
    if ending == signal.SIGINT and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("started in the background, where Ctrl-C is ignored")
    script = tmp_path / "run.py"
    script.write_text(
        "import sys, time\n"
        "from protect.execution.processes import map_in_processes\n"
        "if __name__ == '__main__':\n"
        "    results = map_in_processes(time.sleep, [0, 600, 600], 2)\n"
        "    next(results)\n"
        "    print(flush=True)\n"
        "    next(results)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        parent.send_signal(ending)
        try:
            parent.communicate(timeout=60)  # the pipes close when the last process that holds them ends
        finally:
            parent.kill()
    assert parent.returncode != 0
