"""Commands of `attacks`."""

from __future__ import annotations

from typing import Annotated

import typer

from protect import console

attacks_app = console.make_app("Measure what a mark survives.")


@attacks_app.callback()
def _group() -> None:
    """Keep `ls` a subcommand."""


@attacks_app.command("ls")
def ls_command(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """List the attacks, by where they strike."""
    from attacks.registry import ATTACKS

    rows = [{"name": a.name, "kind": a.kind, "summary": a.summary} for a in ATTACKS.values()]
    lines = [f"{r['kind']:<10} {r['name']:<14} {r['summary']}" for r in rows]
    console.answer("\n".join(lines), rows, as_json)
    return console.DONE
