"""Silence for foreign libraries: what they warn about is checked here and raised as an error instead."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import diffusers.utils.logging
import transformers.utils.logging

LIBRARIES = (diffusers.utils.logging, transformers.utils.logging)


@contextmanager
def silenced_libraries() -> Iterator[None]:
    """No warnings, log lines or progress bars of diffusers, transformers and peft inside this block."""
    with ExitStack() as stack, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for library in LIBRARIES:
            _mute(library, stack)
        yield


def _mute(library: Any, stack: ExitStack) -> None:
    """Mute one library's logging module and put everything back when `stack` closes."""
    stack.callback(library.set_verbosity, library.get_verbosity())
    library.set_verbosity(logging.CRITICAL)
    if library.is_progress_bar_enabled():
        library.disable_progress_bar()
        stack.callback(library.enable_progress_bar)
