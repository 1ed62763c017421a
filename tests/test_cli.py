"""The console scripts as a user meets them."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

import cli
from attacks.suite import STANDARD
from protect.errors import InputError
from tests.protect.conftest import make_folder

ROOT = Path(__file__).parent.parent
Run = Callable[..., tuple[int, str, str]]
MAINS = {"protect": cli.protect_main, "detect": cli.detect_main, "attacks": cli.attacks_main}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a script; returns exit code, stdout and stderr."""
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(script: str, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            MAINS[script]()
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


def test_embed_verify_and_ls(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    code, out, err = run("protect", "embed", "d", "--rate", 0.2, "--decoys", 99, "--alpha", 0.05, "--name", "spring")
    assert code == 0 and "12 carriers in 1 slot" in out and "verifying" in err
    assert (tmp_path / "d-protected" / "metadata.jsonl").is_file()
    code, out, _ = run("protect", "verify", "d-protected", "--release", "spring")
    assert code == 0 and "12 of 12" in out
    code, out, _ = run("protect", "ls", "--json")
    listed = json.loads(out)
    assert listed["releases"][0]["name"] == "spring"
    assert {"template", "rivagan"} <= {f["name"] for f in listed["families"]} and "label" in {
        a["name"] for a in listed["alignments"]
    }
    code, out, _ = run("protect", "ls")
    assert code == 0 and "spring" in out and "twa-conjunction" in out
    (tmp_path / "d-protected" / "metadata.jsonl").write_text("")
    code, _, err = run("protect", "verify", "d-protected", "--release", "spring")
    assert code == 2 and "none of the 12 carriers" in err


def test_dry_run_promises_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    code, out, _ = run("protect", "embed", "d", "--rate", 0.2, "--dry-run")
    assert code == 0 and "would write" in out and "at most 32 pictures" in out
    assert {p.name for p in tmp_path.iterdir()} == {"d"}


def test_samples_set_aside_are_told_by_the_exit_code(run: Run, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 60)
    (folder / "lonely.png").write_bytes((folder / "picture 000.png").read_bytes())
    code, out, _ = run("protect", "embed", "d", "--rate", 0.2, "--decoys", 99, "--alpha", 0.05)
    assert code == 5 and "set aside: lonely.png: no caption" in out


def test_detect_says_what_it_would_ask(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    run("protect", "embed", "d", "--rate", 0.2, "--decoys", 99, "--alpha", 0.05, "--family", "spread", "--queries", 16)
    code, out, _ = run("detect", "run", "--model", "d", "--dry-run", "--json")
    assert code == 0 and json.loads(out)[0]["most_pictures"] == 32


def test_rehearsal_states_its_cost(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 50)
    code, out, _ = run("detect", "rehearse", "d", "--rate", 0.2, "--steps", 10, "--batch", 10, "--dry-run", "--json")
    assert code == 0 and json.loads(out) == {
        "samples": 50,
        "passes": 2.0,
        "carriers": 10,
        "exposures_of_carriers": 20.0,
    }


def test_plan_learns_from_rehearsals_and_can_say_no(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    runs = [
        {"family": "template", "alignment": "twa", "method": "lora", "sightings": s, "found": s > 300}
        for s in (50, 100, 200, 250, 400, 500, 800)
    ]
    (tmp_path / "run.json").write_text(json.dumps(runs))
    code, out, _ = run("protect", "plan", "d", "--rate", 0.2, "--passes", 2, "--rehearsal", ".")
    assert code == 0 and "not enough: use" in out and "7 runs of your rehearsals" in out
    code, out, _ = run("protect", "plan", "d", "--rate", 0.2, "--passes", 500, "--rehearsal", ".", "--json")
    assert json.loads(out)["power_per_slot"] > 0.9
    assert {p.name for p in tmp_path.iterdir()} == {"d", "run.json"}


@pytest.mark.parametrize(
    "args",
    [
        ("protect", "embed", "missing"),
        ("protect", "embed", "empty"),
        ("protect", "embed", "d", "--rate", "0.0001"),
        ("protect", "embed", "d", "--rate", "7"),
        ("protect", "embed", "d", "--family", "nope"),
        ("protect", "embed", "d", "--option", "psnr=30"),
        ("protect", "embed", "d", "--output", "d"),
        ("protect", "embed", "d", "--rate", "lots"),
        ("protect", "embed"),
        ("protect", "embed", "d", "--alignment", "nope"),
        ("protect", "embed", "d", "--option", "depth"),
        ("protect", "embed", "d", "--family", "warp", "--alignment", "unconditional"),
        ("protect", "embed", "d", "--family", "spread", "--alignment", "twa-description"),
        ("protect", "embed", "d", "--family", "dwtdct"),
        ("protect", "check", "missing"),
        ("protect", "check", "d", "--family", "nope"),
        ("protect", "check", "d", "--vae", "empty"),
        ("protect", "check", "d", "--pictures", "1"),
        ("protect", "plan", "missing"),
        ("protect", "plan", "d", "--passes", "0"),
        ("protect", "plan", "d", "--rate", "0.2", "--rehearsal", "empty"),
        ("protect", "verify", "missing"),
        ("protect", "verify", "d"),
        ("detect", "run"),
        ("detect", "run", "--model", "missing"),
        ("detect", "run", "--model", "missing", "--release", "nope"),
        ("detect", "run", "--modle", "x"),
        ("detect", "rehearse", "missing", "--dry-run"),
        ("detect", "rehearse", "d", "--rate", "0.2", "--base", "empty", "--dry-run"),
        ("detect", "rehearse", "d", "--rate", "0.2", "--learning-rate", "nan", "--dry-run"),
        ("detect", "rehearse", "d", "--rate", "0.2", "--family", "nope", "--dry-run"),
        ("protect", "plan", "d", "--rate", "0.2", "--method", "foo"),
        ("protect", "embed", "d", "--rate", "0.2", "--decoys", "99"),
        ("protect", "embed", "d", "--rate", "0.2", "--name", "a\nb"),
        ("protect", "embed", "/"),
        ("protect", "embed", "d", "--rate", "0.2", "--output", "o" * 300),
        ("protect", "check", "d", "--report", "d"),
        ("protect", "check", "d", "--report", "nowhere/a.html"),
        ("protect", "retire", "nope"),
        ("protect", "pool", "d", "--prompts", "missing.txt"),
        ("protect", "basis", "d", "--vae", "empty"),
        ("protect", "basis", "d", "--pictures", "3"),
        ("protect", "basis", "d", "--side", "63"),
        ("protect", "basis", "empty"),
        ("detect", "provenance", "tags", "--model", "x", "--dataset", "d"),
        ("detect", "provenance", "run", "--model", "x", "--generator", "d", "--classes", "missing", "--control", "d"),
        ("detect", "provenance", "nope"),
        ("detect", "rehearse", "d", "--rate", "0.2", "--alignment", "label", "--dry-run"),
        ("attacks", "nope"),
        ("attacks", "run", "d", "-o", "w", "--family", "tmplate", "--dry-run"),
        ("attacks", "run", "d", "-o", "w", "--family", "scene", "--dry-run"),
        ("attacks", "run", "d", "-o", "w", "--family", "spread", "--alignment", "twa-double", "--dry-run"),
        ("attacks", "run", "d", "-o", "w", "--option", "spread.psnr=30", "--dry-run"),
        ("attacks", "run", "d", "-o", "w", "--option", "template.psnr=30", "--dry-run"),
        ("attacks", "run", "d", "-o", "w", "--plan", "p.toml", "--family", "spread", "--dry-run"),
        ("protect", "check", "d", "--option", "spraed.psnr=30"),
    ],
)
def test_mistakes_get_two_lines_and_code_2(run: Run, tmp_path: Path, args: tuple[str, ...]) -> None:
    make_folder(tmp_path / "d", 30)
    (tmp_path / "empty").mkdir()
    code, out, err = run(*args)
    assert code == 2 and out == ""
    lines = err.strip().splitlines()
    assert len(lines) == 2 and lines[0].startswith("error: ")


def test_releases_made_for_practice_can_be_retired(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    for i in range(12):
        code, out, _ = run("protect", "embed", "d", "--rate", 0.2, "-o", f"o{i}")
        assert code == 0 and ("protect retire" in out) == (i >= 10)
    assert run("protect", "retire", "o3")[0] == 0
    assert "o3 " not in run("protect", "ls")[1] and run("protect", "retire", "o3")[0] == 2
    assert list((tmp_path / "home" / "retired").iterdir())


def test_one_damaged_record_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    for name in ("good", "bad"):
        run("protect", "embed", "d", "--rate", 0.2, "-o", name)
    records = tmp_path / "home" / "releases"
    (path,) = (p for p in records.iterdir() if '"name": "bad"' in p.read_text())
    path.write_text("[" * 100_000)
    code, out, _ = run("protect", "ls")
    assert code == 0 and "good" in out and "cannot be used" in out
    assert run("protect", "verify", "good")[0] == 0 and run("protect", "verify", "bad")[0] == 2
    assert run("detect", "run", "--model", "d", "--dry-run")[0] == 2
    assert run("detect", "run", "--model", "d", "--dry-run", "--release", "good")[0] == 0


def test_a_reader_who_leaves_ends_neither_work_nor_exit_code(tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    script = f"'{sys.executable}' -c 'import cli; cli.protect_main()' embed d --rate 0.2 2>&1"
    command = script + " | true; echo ${PIPESTATUS[0]}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "TRACEMARK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.strip() == "0" and (tmp_path / "d-protected").is_dir()


def test_a_folder_without_permission_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "d", 3)

    def refuse(path: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    code, _, err = run("protect", "embed", "d")
    assert code == 2 and "Permission denied" in err and len(err.strip().splitlines()) == 2


def test_answers_on_any_terminal(tmp_path: Path) -> None:
    make_folder(tmp_path / "图片", 60)
    done = subprocess.run(
        [sys.executable, "-c", "import cli; cli.protect_main()", "embed", "图片", "--rate", "0.2"],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=120,
        env={
            **os.environ,
            "TRACEMARK_HOME": str(tmp_path / "home"),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "latin-1",
        },
    )
    assert b"done:" in done.stdout


def test_help_keeps_defaults_in_brackets_and_versions_are_told(run: Run) -> None:
    assert "[<dataset>-protected]" in run("protect", "embed", "--help")[1]
    assert "[carriers // 40, 1 to 8]" in run("protect", "embed", "--help")[1]
    assert run("detect", "--version")[1].startswith("detect (tracemark) ")


def test_a_stopped_run_says_that_it_resumes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import protect.commands

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(protect.commands, "embed", interrupted)
    code, _, err = run("protect", "embed", "d")
    assert code == 130 and "goes on from there" in err


def test_demo_refuses_foreign_folders(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    code, _, err = run("protect", "demo", "--output", "mine")
    assert code == 2 and "not a demo's folder" in err


def test_help_and_embed_never_import_torch(tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 30)
    code = (
        "import sys, cli\n"
        "try: cli.protect_main()\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "heavy = {'torch', 'diffusers', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for args in (["--help"], ["embed", "d", "--rate", "0.2", "--decoys", "99", "--alpha", "0.05"]):
        subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            env={"TRACEMARK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "PATH": ""},
        )
    assert (tmp_path / "d-protected").is_dir()


def _commands(app: typer.Typer, name: str) -> set[str]:
    inner = [_commands(g.typer_instance, f"{name} {g.name}") for g in app.registered_groups if g.typer_instance]
    return {f"{name} {c.name}" for c in app.registered_commands}.union(*inner)


def test_readme_lists_exactly_the_commands_there_are() -> None:
    there = _commands(cli.protect_app, "protect") | _commands(cli.detect_app, "detect")
    there |= _commands(cli.attacks_app, "attacks")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `((?:protect|detect|attacks) (?:provenance )?\w+)", readme, flags=re.M))
    assert listed == there


def test_every_option_in_the_readme_exists(run: Run) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = {"protect": ["embed", "verify", "demo"], "detect": ["run", "rehearse"], "attacks": ["run"]}
    inner = [("detect", "provenance", c) for c in ("run", "tags", "plan")]
    asked = [(script, c) for script, names in commands.items() for c in names] + inner
    helps = "".join(run(*words, "--help")[1] for words in asked)
    options = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", readme))
    assert len(options) > 8 and {o for o in options if o not in helps} == set()


def test_the_standard_suite_takes_any_family(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    asked = ("--family", "spread", "--alignment", "twa-conjunction", "--option", "spread.psnr=30", "--dry-run")
    code, out, _ = run("attacks", "run", "d", "-o", "w", *asked, "--json")
    cells = json.loads(out)["cells"]
    assert code == 0 and len(cells) == len(STANDARD) and all("spread-twa-conjunction" in cell for cell in cells)
    (tmp_path / "p.toml").write_text('[[cell]]\nattack = "none"\nstrength = 0\n')
    assert run("attacks", "run", "d", "-o", "w", "--plan", "p.toml", "--dry-run")[0] == 0
    code, _, told = run("attacks", "run", "d", "-o", "w", "--plan", "p.toml", "--family", "spread", "--dry-run")
    assert code == 2 and "--plan beside --family" in told


def test_every_module_can_be_imported_first() -> None:
    code = """
import importlib, pkgutil, sys
import attacks, detect, protect
packages = (attacks, detect, protect)
for name in [m.name for p in packages for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".")]:
    for loaded in [m for m in sys.modules if m.partition(".")[0] in ("attacks", "detect", "protect")]:
        del sys.modules[loaded]
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_cli_stays_thin() -> None:
    assert len((ROOT / "cli.py").read_text().splitlines()) < 100


def test_errors_have_advice() -> None:
    error = InputError("what went wrong", "what to do")
    assert str(error) == "what went wrong\nwhat to do" and error.advice == "what to do"
