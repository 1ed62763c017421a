"""What runs the work: this process, other processes of this machine, or a cluster. Results never depend on which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from protect.errors import InputError
from protect.execution.threads import map_in_order, usable_cores

T = TypeVar("T")
R = TypeVar("R")

ENGINES = ("local", "ray")
MOST_WORKERS = 10_000


class Engine(ABC):
    """Maps a function over things."""

    workers: int
    """How many things are worked on at a time."""
    worth: float = 0.0
    """Seconds of work from which on it pays to start workers."""

    @abstractmethod
    def map(
        self, function: Callable[[T], R], things: Iterable[T], lost: Callable[[T], R] | None = None
    ) -> Generator[R, None, None]:
        """Results in the order of the things. Few are taken ahead of the one whose result is given.

        Args:
            function: pickled once for all things. What it raises is raised here.
            things: pickled one by one; may be endless.
            lost: makes the result of a thing whose worker ended twice without a word (killed, or out of memory).

        Raises:
            InputError: if a worker ended so and `lost` is not given, or all workers do.
        """

    def worthwhile(self, seconds: float) -> Engine:
        """This engine, or threads where there is too little to do.

        Args:
            seconds: that the work takes one worker, roughly.
        """
        return self if seconds >= self.worth else Threads(min(self.workers, usable_cores()))


class Threads(Engine):
    """Threads of this process: nothing is pickled, and nothing takes time to start."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or usable_cores()

    def map(
        self, function: Callable[[T], R], things: Iterable[T], lost: Callable[[T], R] | None = None
    ) -> Generator[R, None, None]:
        """See `Engine.map`; no thread is ever lost."""
        return map_in_order(function, things, self.workers)


def make_engine(name: str = "local", workers: int | None = None, modules: Iterable[str] = ()) -> Engine:
    """The engine of that name.

    Args:
        name: "local" for this machine, "ray" for a cluster that exists already (or this machine, if there is none).
        workers: how many things are worked on at a time; as many as there are cores if not given.
        modules: what workers will need; imported once for all of them.

    Raises:
        InputError: if there is no such engine, or it is not installed.
    """
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise InputError(f"--workers {workers} is out of range", f"Allowed: 1 to {MOST_WORKERS:,}.")
    if name == "ray":
        from protect.execution.cluster import Ray

        return Ray(workers)
    if name != "local":
        raise InputError(f"--engine {name} is unknown", f"Allowed: {', '.join(ENGINES)}.")
    from protect.execution.processes import Processes

    count = workers or usable_cores()
    return Threads(1) if count == 1 else Processes(count, modules)


def batches(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Things in lists, so that a task is worth its way to a worker.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    source = iter(things)
    while batch := list(islice(source, size)):
        yield batch
