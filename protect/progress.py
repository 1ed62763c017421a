"""How long work tells what it has done."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total); a total of 0 is not known yet."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
