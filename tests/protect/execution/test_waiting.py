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
    print(os.environ.get("GOMP_SPINCOUNT"))
run_app(app, "tell")
"""


@pytest.mark.parametrize(
    ("given", "found"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_threads_spin_for_a_moment_unless_the_user_says_otherwise(given: dict[str, str], found: str) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}}
    run = subprocess.run([sys.executable, "-c", COMMAND], capture_output=True, text=True, env=plain | given, check=True)
    assert run.stdout.strip() == found
