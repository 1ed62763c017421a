"""Commands of `attacks`."""

from __future__ import annotations

import typer

from protect import console

attacks_app = typer.Typer(
    help="Measure what a mark survives.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,
)  # fmt: skip


@attacks_app.callback()
def _group() -> None:
    """Keep `ls` a subcommand."""


@attacks_app.command("ls")
def ls_command() -> int:
    """List the attacks that can be run."""
    console.answer("no attacks yet: this version plants and detects marks", [], as_json=False)
    return console.DONE
