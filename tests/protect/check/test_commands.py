"""The command `protect check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from protect import console
from protect.check.commands import check_command
from protect.errors import InputError
from protect.formats.walk import walk
from tests.support.datasets import make_folder
from tests.support.leaning import make_varied_folder, sayable_captions


@pytest.fixture
def app() -> typer.Typer:
    made = console.make_app("check alone")
    made.command()(check_command)
    return made


def _run(app: typer.Typer, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, arguments, standalone_mode=False, catch_exceptions=False)
    return done.return_value, done.stdout


def test_the_command_writes_its_pages_and_changes_nothing(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    folder = make_folder(tmp_path / "d", 8)
    (folder / "picture 003.png").write_bytes(b"broken")
    before = {key: (folder / key).read_bytes() for key in walk(folder)}
    page, choices = tmp_path / "page.html", tmp_path / "choices.html"
    given = ("--family", "spread", "--option", "spread.psnr=30", "--pictures", "8", "--json")
    code, text = _run(app, str(folder), *given, "--report", str(page), "--choices", str(choices))
    found = json.loads(text)
    assert code == console.SET_ASIDE and [one["key"] for one in found["set_aside"]] == ["picture 003.png"]
    assert found["families"][0]["tested"] == 7 and abs(found["families"][0]["psnr"] - 30) < 0.5
    assert page.is_file() and choices.is_file() and "looks" not in found["families"][0]
    assert {key: (folder / key).read_bytes() for key in walk(folder)} == before


def test_samples_that_may_not_change_are_not_tested(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    folder = make_folder(tmp_path / "d", 12)
    given = ("--family", "spread", "--pictures", "12", "--exclude", "picture 00*", "--report", str(tmp_path / "p.html"))
    code, text = _run(app, str(folder), *given)
    assert code == console.DONE and "spread: cannot be used: 2 picture(s) fit, 5 are needed" in text


@pytest.mark.parametrize(
    ("count", "shade"), [(210, "survives all"), (30, "cannot be used: 30 picture(s) can be looked")]
)
def test_without_options_every_family_has_its_line(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int, shade: str
) -> None:
    """Those that need looks have them measured; one that paints nothing says so; nothing is kept."""
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("protect.check.run.treatments", lambda vae: {"none": lambda picture: picture})
    folder = make_varied_folder(tmp_path / "d", sayable_captions(count), side=64)
    code, text = _run(app, str(folder), "--pictures", "5", "--report", str(tmp_path / "page.html"))
    lines = dict(line.split(": ", 1) for line in text.splitlines())
    assert code == console.DONE and {"template", "card", "frame", "spread", "tint", "warp"} < set(lines)
    assert lines["lean"].startswith("nothing to check: it changes no picture") and "lean.push=2" in lines["lean"]
    assert lines["shade"].startswith(shade) and lines["frame"].startswith("survives all")
    assert not list(tmp_path.glob("home/looks/*"))
    page = (tmp_path / "page.html").read_text()
    assert "nothing to check" in page and "0.0 dB" not in page


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--family", "lean", "--option", "lean.push=nan"), "push=nan .*is not a number"),
        (("--family", "shade", "--option", "shade.looks=abc"), "'abc' is not the name of stored looks"),
        (("--option", "spraed.psnr=30"), "for no family in use"),
        (("--family", "spread", "--option", "spread.pnsr=30"), "does not take pnsr"),
        (("--family", "nope"), "unknown mark family"),
        (("--report", "nowhere/page.html"), "not a writable folder"),
        (("--report", "page.html", "--choices", "page.html"), "would both go to"),
    ],
)
def test_mistakes_are_refused_before_the_work(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "d", 6)
    with pytest.raises(InputError, match=message):
        _run(app, "d", *given)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d"]
