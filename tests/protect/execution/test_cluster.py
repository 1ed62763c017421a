"""Tasks on Ray: in order, tried again, and the same bytes as without it. Slow: it takes half a minute to start."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from protect.embed.write import embed
from protect.errors import InputError
from protect.execution.budget import MemoryBudget
from protect.execution.engine import Engine, Threads, make_engine
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from tests.protect.embed import test_forms as forms
from tests.protect.embed.test_trouble import all_but_locks, survives

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800), pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Two workers on this machine."""
    yield make_engine("ray", 2)
    ray.shutdown()


@dataclass(frozen=True)
class Work:
    """Squares numbers, and does as it is told."""

    marker: Path
    budget: MemoryBudget
    die_at: int = -1
    always: bool = False

    def __call__(self, number: int) -> tuple[int, int]:
        if number == self.die_at and (self.always or not self.marker.exists()):
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 77:
            raise InputError("77 cannot be squared", "Use 78.")
        with self.budget.hold(60):
            time.sleep(0.01 * (number % 3))
        return number * number, os.getpid()


def test_results_come_in_order_from_other_processes(engine: Engine, tmp_path: Path) -> None:
    found = list(engine.map(Work(tmp_path / "x", MemoryBudget(100)), range(30)))
    assert [square for square, _ in found] == [n * n for n in range(30)]
    assert os.getpid() not in {process for _, process in found}


def test_a_worker_that_is_killed_costs_nothing(engine: Engine, tmp_path: Path) -> None:
    found = list(engine.map(Work(tmp_path / "killed", MemoryBudget(100), die_at=5), range(12)))
    assert [square for square, _ in found] == [n * n for n in range(12)] and (tmp_path / "killed").exists()


def test_what_always_kills_its_worker_is_lost_and_all_else_is_done(engine: Engine, tmp_path: Path) -> None:
    work = Work(tmp_path / "x", MemoryBudget(100), die_at=5, always=True)
    found = list(engine.map(work, range(8), lambda number: (-number, 0)))
    assert [square for square, _ in found] == [n * n if n != 5 else -5 for n in range(8)]
    with pytest.raises(InputError, match="ended without a word on the cluster"):
        list(engine.map(work, range(8)))


def test_errors_keep_their_advice_and_whoever_stops_asking_stops_the_work(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refusal:
        list(engine.map(Work(tmp_path / "x", MemoryBudget(100)), range(70, 90)))
    assert (refusal.value.what, refusal.value.advice) == ("77 cannot be squared", "Use 78.")
    start = time.monotonic()
    with closing(engine.map(time.sleep, [0.0, 300.0, 300.0])) as results:
        next(results)
    assert time.monotonic() - start < 120


def test_a_cluster_writes_what_one_process_writes_and_goes_on_where_that_stopped(
    engine: Engine, tmp_path: Path
) -> None:
    class Killed(BaseException):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if stage == "writing" and done >= 2:
            raise Killed

    source, secret = forms.shards(tmp_path), secret_from_seed(1, "test")

    def write(place: str, worker: Engine, progress: object = None) -> dict[str, bytes]:
        (tmp_path / place).mkdir(exist_ok=True)
        arguments = {"progress": progress} if progress else {}
        home = Keyring(tmp_path / place / "home")
        embed(source, tmp_path / place / "out", forms.QUICK, home, secret=secret, engine=worker, **arguments)  # type: ignore[arg-type]
        return all_but_locks(tmp_path / place)

    wanted = write("one", Threads(1))
    assert write("ray", engine) == wanted
    for place, first, second in (("a", engine, Threads(1)), ("b", Threads(1), engine)):
        with pytest.raises(Killed):
            write(place, first, die)
        assert write(place, second) == wanted


def test_a_run_on_a_cluster_that_is_killed_again_and_again_ends_with_the_same_bytes(tmp_path: Path) -> None:
    survives(forms.shards(tmp_path), tmp_path / "runs", 20, 0)
