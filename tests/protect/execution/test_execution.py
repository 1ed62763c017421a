"""Threads in order, within a budget of memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from protect.execution.budget import MemoryBudget
from protect.execution.threads import map_in_order


def test_results_come_in_order_whatever_takes_longest() -> None:
    def slow_if_even(number: int) -> int:
        time.sleep(0.002 * (number % 2 == 0))
        return number * number

    assert list(map_in_order(slow_if_even, range(40), workers=4)) == [n * n for n in range(40)]


def test_only_a_few_things_are_under_way() -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    results = map_in_order(lambda n: n, endless(), workers=2)
    assert [next(results) for _ in range(3)] == [1, 2, 3]
    assert taken <= 8
    results.close()


def test_an_error_reaches_the_caller() -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        list(map_in_order(fail, range(10), workers=2))


def test_threads_never_hold_more_than_the_budget() -> None:
    budget, lock = MemoryBudget(100), threading.Lock()
    held = most = 0

    def work(size: int) -> None:
        nonlocal held, most
        with budget.hold(size):
            with lock:
                held += size
                most = max(most, held)
            time.sleep(0.001)
            with lock:
                held -= size

    list(map_in_order(work, [40, 60, 30, 70, 10] * 20, workers=8))
    assert 70 <= most <= 100 and held == 0


def test_what_is_larger_than_the_budget_is_served_alone() -> None:
    budget = MemoryBudget(100)
    with budget.hold(1_000):
        waiting = threading.Thread(target=lambda: budget.hold(1).__enter__(), daemon=True)
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join(5)
    assert not waiting.is_alive()


def test_memory_is_given_back_after_an_error() -> None:
    budget = MemoryBudget(100)
    with pytest.raises(ValueError, match="x"), budget.hold(100):
        raise ValueError("x")
    with budget.hold(100):
        pass
