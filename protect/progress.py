"""How long work tells what it has done, and what is told from that: its pace, and what time is left."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); a total of 0 is not known yet."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass
class Pace:
    """How fast a stage goes, from when it was first heard of: what was done before that was done by another run."""

    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    _first: tuple[float, int] | None = field(default=None, init=False)
    _last: tuple[float, int] = field(default=(0.0, 0), init=False)

    def told(self, done: int) -> None:
        """Note how much is done now."""
        self._last = (self.clock(), done)
        self._first = self._first or self._last

    @property
    def seconds(self) -> float:
        """Since the stage was first heard of."""
        return self._last[0] - self._first[0] if self._first else 0.0

    @property
    def rate(self) -> float | None:
        """Things done in a second; None if that cannot be told yet."""
        done = self._last[1] - self._first[1] if self._first else 0
        return done / self.seconds if done > 0 and self.seconds > 0 else None

    def left(self, total: int) -> float | None:
        """Seconds until all is done; None if that cannot be told."""
        rate = self.rate
        return (total - self._last[1]) / rate if rate and total else None


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(8.2), duration(200), duration(7500), duration(300_000)
    ('8 s', '3 min', '2.1 h', '3.5 days')
    """
    for unit, size, most in (("s", 1, 90), ("min", 60, 90), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{seconds / size:.0f} {unit}" if unit != "h" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86400:.1f} days"
