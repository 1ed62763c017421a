"""How the numerical libraries' threads wait for each other in commands."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMAND = """
import os, typer
from protect.console import run_app
app = typer.Typer()
@app.command()
def tell():
    print(os.environ["OMP_WAIT_POLICY"])
run_app(app, "tell")
"""


@pytest.mark.parametrize(("given", "found"), [({}, "passive"), ({"OMP_WAIT_POLICY": "active"}, "active")])
def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(given: dict[str, str], found: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    run = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, env=plain | given, check=True)
    assert run.stdout.strip() == found
