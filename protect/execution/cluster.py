"""Mapping a function over many things with tasks of a Ray cluster, on whose nodes files are in the same places."""

from __future__ import annotations

import os
import pickle
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from protect.errors import InputError
from protect.execution.engine import Engine
from protect.execution.threads import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_RETRIES = 2
"""How often a task is tried again whose worker ended without a word."""
_STORE = 256 << 20
"""Bytes of the object store, where no cluster is running: what crosses processes is small."""
_AHEAD = 4
"""Results that may wait for an earlier one, for each worker."""
_functions: dict[str, Callable[[Any], Any]] = {}
"""What this worker was sent last, by name."""


class Ray(Engine):
    """Core tasks with retries, on the cluster that `RAY_ADDRESS` names or that runs here; else on one of its own.

    What is sent holds secrets of the release: the cluster must be the owner's.

    Args:
        workers: tasks at a time; as many as the cluster has cores if not given.

    Raises:
        InputError: if Ray is not installed.
    """

    def __init__(self, workers: int | None = None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            import ray
        except ImportError:
            raise InputError("--engine ray needs Ray", "pip install 'tracemark[ray]'") from None
        self._ray: Any = ray
        if not ray.is_initialized():
            _connect(ray, workers)
        self.workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def map(
        self, function: Callable[[T], R], things: Iterable[T], lost: Callable[[T], R] | None = None
    ) -> Generator[R, None, None]:
        """See `Engine.map`. A task whose worker dies is tried twice more, on any node."""
        ray = self._ray
        task = ray.remote(max_retries=_RETRIES, num_cpus=1)(_run)
        name, shipped, source = uuid.uuid4().hex, ray.put(pickle.dumps(function)), iter(things)
        waiting, running = deque[tuple[T, Any]](), set[Any]()
        more = True
        try:
            while more or waiting:
                while more and len(running) < self.workers and len(waiting) < _AHEAD * self.workers:
                    for thing in source:
                        waiting.append((thing, task.remote([shipped], name, thing)))
                        running.add(waiting[-1][1])
                        break
                    else:
                        more = False
                        break
                if waiting and waiting[0][1] not in running:
                    yield self._result(*waiting.popleft(), lost)
                elif running:
                    running -= set(ray.wait(list(running), num_returns=1)[0])
        finally:
            for reference in running:
                ray.cancel(reference, force=True)

    def _result(self, thing: T, reference: Any, lost: Callable[[T], R] | None) -> R:
        try:
            error, result = self._ray.get(reference)
        except self._ray.exceptions.RayError as died:
            if lost is None:
                raise InputError(
                    f"a task ended without a word on the cluster, {_RETRIES + 1} times: {type(died).__name__}",
                    "Look at the cluster's memory and nodes, and repeat.",
                ) from None
            return lost(thing)
        if error is not None:
            raise error
        found: R = result
        return found


def _connect(ray: Any, workers: int | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address="auto", **quiet)
    except ConnectionError as error:
        if os.environ.get("RAY_ADDRESS"):
            raise InputError(
                f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}", "Start it, or unset RAY_ADDRESS."
            ) from error
        cores = workers or usable_cores()
        ray.init(num_cpus=cores, include_dashboard=False, object_store_memory=_STORE, **quiet)


def _run(shipped: list[Any], name: str, thing: Any) -> tuple[BaseException | None, Any]:
    """A task: what it raised, and what it gave."""
    import ray

    if name not in _functions:
        _functions.clear()
        _functions[name] = pickle.loads(ray.get(shipped[0]))
    try:
        return None, _functions[name](thing)
    except Exception as error:
        return error, None
