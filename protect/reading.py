"""Options that say how a dataset is read, shared by all commands that open one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from protect.formats.dataset_format import ReadOptions
from protect.formats.record import TRAIN

CaptionColumn = Annotated[
    list[str] | None, typer.Option(help="Column or field that holds captions; repeatable. [those with usual names]")
]
LeaveCaptions = Annotated[
    list[str] | None, typer.Option(metavar="FIELD", help="Captions that stay as they are; repeatable.")
]
Only = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Change only these samples; repeatable.")]
Exclude = Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Never change these samples; repeatable.")]
Split = Annotated[
    list[str] | None, typer.Option(help="Split whose samples may be changed, or all; repeatable. [train]")
]


def spelt(said: ReadOptions) -> list[str]:
    """What was said, as words of a command line.

    >>> spelt(reading(None, None, ["cats/*"], None, None))
    ['--only', 'cats/*']
    """
    given = {
        "--caption-column": said.caption_columns,
        "--leave-captions": said.leave_captions,
        "--only": said.only,
        "--exclude": said.exclude,
        "--split": () if said.splits == (TRAIN,) else said.splits,
    }
    return [word for option, values in given.items() for value in values for word in (option, value)]


def reading(
    columns: Sequence[str] | None,
    leave: Sequence[str] | None,
    only: Sequence[str] | None,
    exclude: Sequence[str] | None,
    splits: Sequence[str] | None,
) -> ReadOptions:
    """What the options say."""
    return ReadOptions(
        tuple(columns or ()), tuple(leave or ()), tuple(only or ()), tuple(exclude or ()), tuple(splits or (TRAIN,))
    )
