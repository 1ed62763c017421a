"""Console scripts `protect`, `detect` and `attacks`. Wiring only: commands live in their packages."""

from __future__ import annotations

from attacks import examples as attacks_examples
from attacks.commands import attacks_app
from detect import examples as detect_examples
from detect.asking.commands import ask_command
from detect.bundle.commands import verify_command
from detect.commands import detect_app
from detect.demo_command import demo_command
from detect.provenance.commands import provenance_app
from detect.stored_commands import basis_command, cache_command, pool_command
from detect.survey_command import survey_command
from detect.trace.commands import certify_command, trace_command
from detect.training.commands import rehearse_command
from protect import examples as protect_examples
from protect.commands import protect_app
from protect.console import add_examples, run_app

protect_app.command("demo")(demo_command)
protect_app.command("pool")(pool_command)
protect_app.command("basis")(basis_command)
detect_app.command("ask")(ask_command)
detect_app.command("verify")(verify_command)
detect_app.command("survey")(survey_command)
detect_app.command("rehearse")(rehearse_command)
detect_app.command("trace")(trace_command)
detect_app.command("cache")(cache_command)
detect_app.command("certify")(certify_command)
detect_app.add_typer(provenance_app, name="provenance")
for _app, _examples in (
    (protect_app, protect_examples),
    (detect_app, detect_examples),
    (attacks_app, attacks_examples),
):
    add_examples(_app, _examples.EXAMPLES, _examples.WITH_FAMILIES, protect_examples.family_options())


def protect_main() -> None:
    """Run `protect`."""
    run_app(protect_app, "protect")


def detect_main() -> None:
    """Run `detect`."""
    run_app(detect_app, "detect")


def attacks_main() -> None:
    """Run `attacks`."""
    run_app(attacks_app, "attacks")
