"""Options that say what does the work, shared by all commands that go through a dataset."""

from __future__ import annotations

from typing import Annotated

import typer

from protect.execution.engine import Engine, make_engine

Workers = Annotated[int | None, typer.Option(help="Shards and pictures worked on at a time. [usable cores]")]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="local|ray", help="Processes here, or tasks on a Ray cluster.")
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Progress as lines of JSON on stderr.")]
WRITING = ("protect.embed.copy",)
"""Modules that workers need to write copies and to read them back."""


def engine_of(name: str, workers: int | None) -> Engine:
    """What the options say."""
    return make_engine(name, workers, WRITING)
