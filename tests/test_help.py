"""Help as it is read: examples that work, options that exist, narrow and plain terminals, completion."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from attacks import examples as attacks_examples
from detect import examples as detect_examples
from protect import examples as protect_examples
from protect import marks
from protect.console import EXIT_CODES
from protect.embed.options import share

ROOT = Path(__file__).parent.parent
APPS = {"protect": cli.protect_app(), "detect": cli.detect_app(), "attacks": cli.attacks_app()}
EXAMPLES = [
    line
    for module in (protect_examples, detect_examples, attacks_examples)
    for lines in module.EXAMPLES.values()
    for line in lines
]


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*path, name))


COMMANDS = {
    path: command for name, app in APPS.items() for path, command in _walk(typer.main.get_command(app), (name,))
}


def _help(path: tuple[str, ...]) -> str:
    command = COMMANDS[path]
    text: str = command.get_help(command.context_class(command, info_name=" ".join(path)))
    return text


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_help_has_an_example_and_fits_60_columns(path: tuple[str, ...], narrow: None) -> None:
    text = _help(path)
    leaf = not hasattr(COMMANDS[path], "commands")
    assert ("Examples:" in text) == leaf
    assert not leaf or f"\n    {' '.join(path)}" in text
    assert max(map(len, text.splitlines())) <= 60
    assert "\x1b" not in text


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_are_understood_by_their_commands(line: str) -> None:
    words = shlex.split(line)
    path = next(tuple(words[:n]) for n in (3, 2) if tuple(words[:n]) in COMMANDS)
    given = COMMANDS[path].make_context(" ".join(path), words[len(path) :])
    assert given.params


def test_examples_of_family_options_are_right() -> None:
    for line in EXAMPLES:
        words = shlex.split(line)
        for word in (after for option, after in pairwise(words) if option == "--option"):
            place, _, value = word.partition("=")
            family, _, name = place.rpartition(".")
            family = family or "lean"
            assert name in marks.options_of(family) and float(value) >= 0


def test_exit_codes_stand_in_one_place_and_where_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    told = readme[readme.index("Exit codes:") :].partition("\n\n")[0]
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"\b{code}\b", told), f"README does not tell of {code}"
        for name in APPS:
            flat = " ".join(_help((name,)).split())
            assert f"{code} {meaning}" in flat


def test_families_options_are_listed_where_they_can_be_given() -> None:
    for path, command in COMMANDS.items():
        takes = any(p.name == "option" for p in command.params)
        flat = " ".join(_help(path).split())
        assert ("Family options:" in flat) == takes, path
        if takes:
            assert "depth=0.7" in flat and "push=0.0" in flat and "pool" in flat


def test_shares_may_be_written_in_per_cent_everywhere() -> None:
    """Options that are shares of something, by name."""
    shares = {"rate", "caption_dropout"}
    for path, command in COMMANDS.items():
        found = [p for p in command.params if p.name in shares or (p.name == "alpha" and path[1] != "rehearse")]
        for parameter in found:
            value = parameter.process_value(command.context_class(command), "2%")
            assert value == 0.02, f"{' '.join(path)} {parameter.name}"
    assert share("2 %") == 0.02


def test_no_message_names_an_option_that_does_not_exist() -> None:
    there = {option for command in COMMANDS.values() for p in command.params for option in p.opts} | {
        "--version",
        "--help",
    }
    others = {"--break-system-packages"}
    for package in ("protect", "detect", "attacks"):
        for file in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
            named = {o for text in texts for o in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w_])", text)}
            assert named <= there | others, f"{file.relative_to(ROOT)}: {sorted(named - there)}"


def _started(script: str, *args: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-c", f"import cli; cli.{script}_main()", *args],
        capture_output=True,
        timeout=120,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
    )


@pytest.mark.parametrize("script", APPS)
def test_programs_alone_show_help(script: str, tmp_path: Path) -> None:
    """In the plainest of surroundings: locale C, ASCII only, no colour, 60 columns."""
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1", "COLUMNS": "60"}
    done = _started(script, TRACEMARK_HOME=str(tmp_path / "home"), **plain)
    assert done.returncode == 0 and b"Usage:" in done.stdout and done.stderr == b""
    assert b"\x1b" not in done.stdout and done.stdout.isascii()


def test_strange_names_in_locale_c(tmp_path: Path) -> None:
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TRACEMARK_HOME": str(tmp_path / "home")}
    done = _started("protect", "verify", str(tmp_path / "图片"), **plain)
    assert done.returncode == 2 and b"Traceback" not in done.stderr and done.stderr.startswith(b"error: ")


@pytest.mark.parametrize(
    ("line", "expected"),
    [("protect em", "embed"), ("protect embed --family sp", "spread"), ("detect run --exit", "--exit-code")],
)
def test_shells_complete_commands_options_and_families(line: str, expected: str) -> None:
    script = line.split()[0]
    words = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split()) - 1),
        f"_{script.upper()}_COMPLETE": "complete_bash",
    }
    done = _started(script, **words)
    assert expected in done.stdout.decode().split() and done.stderr == b""


def test_completion_can_be_installed() -> None:
    done = _started("protect", "--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.returncode == 0 and b"complete" in done.stdout and b"_PROTECT_COMPLETE" in done.stdout
