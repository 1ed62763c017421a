"""Commands of `attacks`."""

from __future__ import annotations

from protect import console

attacks_app = console.make_app("Measure what a mark survives.")


@attacks_app.callback()
def _group() -> None:
    """Keep `ls` a subcommand."""


@attacks_app.command("ls")
def ls_command() -> int:
    """List the attacks that can be run."""
    console.answer("no attacks yet: this version plants and detects marks", [], as_json=False)
    return console.DONE
