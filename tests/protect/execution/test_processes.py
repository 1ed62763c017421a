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
from protect.execution.processes import Processes


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


@dataclass(frozen=True)
class KilledOnce:
    """Kills its process at 5, unless it has done so."""

    marker: Path

    def __call__(self, number: int) -> int:
        if number == 5 and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_results_come_in_order_from_other_processes_that_share_a_budget() -> None:
    budget = MemoryBudget(100)
    found = list(Processes(2, budget=budget).map(Work(budget), range(20)))
    assert [square for square, _ in found] == [n * n for n in range(20)]
    assert len({process for _, process in found} - {os.getpid()}) == 2
    assert not multiprocessing.active_children()


def test_an_error_reaches_the_caller_with_its_advice() -> None:
    with pytest.raises(InputError) as refusal:
        list(Processes(2).map(Work(MemoryBudget(100), fail_at=7), range(20)))
    assert (refusal.value.what, refusal.value.advice) == ("seven cannot be squared", "Use eight.")
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(InputError, match="ended without a word"):
        list(Processes(2).map(Work(MemoryBudget(100), die_at=3), range(20)))
    assert not multiprocessing.active_children()


def test_what_kills_its_process_twice_is_lost_and_all_else_is_done() -> None:
    work = Work(MemoryBudget(100), die_at=3)
    found = list(Processes(2).map(work, range(20), lambda number: (-number, 0)))
    assert [square for square, _ in found] == [n * n if n != 3 else -3 for n in range(20)]


def test_a_process_that_is_killed_once_costs_nothing(tmp_path: Path) -> None:
    found = list(Processes(2).map(KilledOnce(tmp_path / "killed"), range(20)))
    assert found == list(range(20)) and (tmp_path / "killed").exists()


def test_workers_that_all_die_are_told_although_things_may_be_lost() -> None:
    with pytest.raises(InputError, match="ended without a word"):
        list(Processes(2).map(die, range(20), lambda number: None))


def test_whoever_stops_asking_stops_the_work() -> None:
    start = time.monotonic()
    with closing(Processes(2).map(time.sleep, [0.0, 60.0, 60.0])) as results:
        next(results)
    assert time.monotonic() - start < 30 and not multiprocessing.active_children()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_nobody_outlives_the_parent(tmp_path: Path, ending: signal.Signals) -> None:
    if ending == signal.SIGINT and signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("started in the background, where Ctrl-C is ignored")
    script = tmp_path / "run.py"
    script.write_text(
        "import time\n"
        "from contextlib import closing\n"
        "from protect.execution.processes import Processes\n"
        "if __name__ == '__main__':\n"
        "    with closing(Processes(2).map(time.sleep, [0, 600, 600])) as results:\n"
        "        next(results)\n"
        "        print(flush=True)\n"
        "        next(results)\n"
    )
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        parent.send_signal(ending)
        try:
            parent.communicate(timeout=240)  # the pipes close when the last process that holds them ends
        finally:
            parent.kill()
    assert parent.returncode != 0
