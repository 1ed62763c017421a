"""Console scripts `protect`, `detect` and `attacks`. Wiring only: commands live in their packages.

A program loads its own commands alone, so that help and lists answer at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from protect import examples as protect_examples
from protect.console import add_examples, run_app

if TYPE_CHECKING:
    from typer import Typer


@cache
def protect_app() -> Typer:
    """`protect`, with the commands that need a model."""
    from detect.demo_command import demo_command
    from detect.stored_commands import basis_command, pool_command
    from protect.commands import protect_app as app

    app.command("demo")(demo_command)
    app.command("pool")(pool_command)
    app.command("basis")(basis_command)
    add_examples(app, protect_examples.EXAMPLES, protect_examples.WITH_FAMILIES, protect_examples.family_options())
    return app


@cache
def detect_app() -> Typer:
    """`detect`, with all its groups."""
    from detect import examples
    from detect.asking.commands import ask_command
    from detect.bundle.commands import verify_command
    from detect.commands import detect_app as app
    from detect.provenance.commands import provenance_app
    from detect.stored_commands import cache_command
    from detect.survey_command import survey_command
    from detect.trace.commands import certify_command, trace_command
    from detect.training.commands import rehearse_command

    app.command("ask")(ask_command)
    app.command("verify")(verify_command)
    app.command("survey")(survey_command)
    app.command("rehearse")(rehearse_command)
    app.command("trace")(trace_command)
    app.command("cache")(cache_command)
    app.command("certify")(certify_command)
    app.add_typer(provenance_app, name="provenance")
    add_examples(app, examples.EXAMPLES, examples.WITH_FAMILIES, protect_examples.family_options())
    return app


@cache
def attacks_app() -> Typer:
    """`attacks`."""
    from attacks import examples
    from attacks.commands import attacks_app as app

    add_examples(app, examples.EXAMPLES, examples.WITH_FAMILIES, protect_examples.family_options())
    return app


def protect_main() -> None:
    """Run `protect`."""
    run_app(protect_app(), "protect")


def detect_main() -> None:
    """Run `detect`."""
    run_app(detect_app(), "detect")


def attacks_main() -> None:
    """Run `attacks`."""
    run_app(attacks_app(), "attacks")
