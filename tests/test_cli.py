"""The console scripts as a user meets them."""

from __future__ import annotations

import csv
import errno
import io
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
from protect.embed.trainers import TRAINERS
from protect.errors import InputError
from tests.support.datasets import make_classes, make_folder, recaption, varied_captions
from tests.support.leaning import make_varied_folder, sayable_captions

ROOT = Path(__file__).parent.parent
Run = Callable[..., tuple[int, str, str]]
MAINS = {"protect": cli.protect_main, "detect": cli.detect_main, "attacks": cli.attacks_main}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call a script; returns exit code, stdout and stderr."""
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TRACEMARK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def call(script: str, *args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [script, *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            MAINS[script]()
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


QUICK = ("--family", "template", "--rate", "20%", "--decoys", 99, "--alpha", 0.05)
COIN = "0f" * 32


def test_embed_verify_show_diff_and_ls(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    code, out, err = run("protect", "embed", "d", *QUICK, "--name", "spring", "--anyway")
    assert code == 0 and "12 carriers in 1 slot" in out and "verifying" in err
    assert "60 samples in, as many out" in out and "a caption before: box number" in out and "expected power" in out
    assert (tmp_path / "d-protected" / "metadata.jsonl").is_file()
    code, out, _ = run("protect", "verify", "d-protected")
    assert code == 0 and "12 of 12" in out and "(spring)" in out
    code, out, _ = run("protect", "show", "d-protected", "--original", "d", "--report", "carriers.html")
    assert code == 0 and out.count("slot 1") == 12 and (tmp_path / "carriers.html").is_file()
    assert run("protect", "show", "d-protected")[0] == 0 and list((tmp_path / "home" / "pages").glob("*.html"))
    code, _, err = run("protect", "show", "d-protected", "--report", "d-protected/page.html")
    assert code == 2 and "would lie in the dataset" in err
    code, out, _ = run("protect", "diff", "d", "d-protected", "--json")
    assert code == 0 and len(json.loads(out)["changes"]) == 12
    code, out, _ = run("protect", "ls", "--json")
    listed = json.loads(out)
    assert listed["releases"][0]["name"] == "spring"
    assert {"template", "rivagan"} <= {f["name"] for f in listed["families"]} and "label" in {
        a["name"] for a in listed["alignments"]
    }
    code, out, _ = run("protect", "ls")
    assert code == 0 and "spring" in out and "twa-conjunction" in out and "options: psnr=38" in out
    (tmp_path / "d-protected" / "metadata.jsonl").write_text("")
    code, _, err = run("protect", "verify", "d-protected", "--release", "spring")
    assert code == 2 and len(err.strip().splitlines()) == 2


def test_a_coin_enters_what_was_committed_before(run: Run, tmp_path: Path) -> None:
    recaption(make_folder(tmp_path / "d", 60), varied_captions(60))
    code, out, _ = run("protect", "commit", "d", *QUICK, "--coin-from", "some beacon:7", "--anyway", "--json")
    published = json.loads(out)
    written = json.loads((tmp_path / "d-protected.commitment.json").read_text())
    assert code == 0 and {name: published[name] for name in written} == written
    assert published["release"] in run("protect", "ls")[1]
    named = ("--commitment", published["release"])
    code, _, err = run("protect", "embed", "d", *named)
    assert code == 2 and "waits for the coin some beacon, round 7" in err
    code, _, err = run("protect", "embed", "d", *named, "--coin", COIN, "--rate", 0.5)
    assert code == 2 and "--rate cannot be given" in err
    code, out, _ = run("protect", "embed", "d", *named, "--coin", COIN, "--anyway", "--json")
    assert code == 0 and json.loads(out)["commitment"] == published["commitment"]


def test_a_bare_command_shows_help_and_is_no_mistake(run: Run) -> None:
    for script in MAINS:
        code, out, err = run(script)
        assert code == 0 and "Usage:" in out + err


def test_dry_run_promises_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    code, out, _ = run("protect", "embed", "d", "--family", "template", "--rate", 0.2, "--dry-run")
    assert code == 0 and "would write" in out and "at most 32 pictures" in out and "expected power" in out
    assert {p.name for p in tmp_path.iterdir()} == {"d"}


def test_what_can_hardly_be_found_is_refused(run: Run, tmp_path: Path) -> None:
    recaption(make_folder(tmp_path / "d", 100), varied_captions(100))
    code, _, err = run("protect", "embed", "d", "--family", "template")
    assert code == 2 and "could hardly be found" in err and "--anyway" in err
    assert "it would be refused" in run("protect", "embed", "d", "--family", "template", "--dry-run")[1]


def test_by_default_no_picture_changes(run: Run, tmp_path: Path) -> None:
    make_varied_folder(tmp_path / "d", sayable_captions(210))
    code, out, _ = run("protect", "embed", "d")
    assert code == 0 and "lean, wording; no picture changes, only their captions" in out and "105 carriers" in out
    code, out, _ = run("protect", "diff", "d", "d-protected", "--json")
    assert code == 0 and not any(change["picture"] for change in json.loads(out)["changes"])
    code, _, err = run("protect", "embed", "d", "--only", "00*", "--output", "few")
    assert code == 2 and "marks that change no picture need 200" in err and len(err.strip().splitlines()) >= 2


def test_class_folders_are_marked_as_the_pages_say(run: Run, tmp_path: Path) -> None:
    make_classes(tmp_path / "d", classes=12)
    code, out, err = run("protect", "embed", "d", "--alignment", "label", "--rate", "0.08", "--slots", "4", "--anyway")
    assert code == 0 and "template, label" in out, err
    code, _, err = run("protect", "embed", "d", "--output", "e")
    assert code == 2 and "--alignment label" in err


def test_it_says_which_of_ones_own_wordings_serve(run: Run, tmp_path: Path) -> None:
    make_varied_folder(tmp_path / "d", [f"a photo of the cat number {i}" for i in range(240)])
    (tmp_path / "mine.csv").write_text("a photo of,a picture of\nzebra,striped horse\n")
    code, out, err = run("protect", "embed", "d", "--wordings", "mine.csv", "--dry-run", "--anyway")
    assert code == 0, err
    assert "1 of your 2 choices of words serve, a slot each: a photo of|a picture of; the others fit too few" in out


def test_a_marked_copy_is_not_marked_again_by_mistake(run: Run, tmp_path: Path) -> None:
    source = make_varied_folder(tmp_path / "d", sayable_captions(210))
    assert run("protect", "embed", source, "-o", tmp_path / "out", "--anyway")[0] == 0
    code, _, err = run("protect", "embed", tmp_path / "out", "--dry-run")
    assert code == 2 and "is a marked copy itself" in err and "original" in err
    assert run("protect", "embed", tmp_path / "out", "--dry-run", "--anyway")[0] == 0
    assert run("protect", "retire", "out")[0] == 0
    code, _, err = run("protect", "embed", tmp_path / "out", "--dry-run")
    assert code == 2 and "is a marked copy itself" in err, "a release made for practice"


def test_samples_set_aside_are_listed_and_change_the_exit_code(run: Run, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 60)
    (folder / "lonely.png").write_bytes((folder / "picture 000.png").read_bytes())
    (folder / "SHA256SUMS").write_text("0" * 64 + "  picture 000.png\n")
    code, out, _ = run("protect", "embed", "d", *QUICK, "--anyway")
    assert code == 5 and "set aside: lonely.png: no caption" in out and "not in the copy: SHA256SUMS" in out


def test_columns_and_globs_reach_the_dataset(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    code, _, err = run("protect", "embed", "d", "--caption-column", "words", "--dry-run")
    assert code == 2 and "words" in err and "text" in err, "the columns that there are must be listed"
    code, out, _ = run("protect", "embed", "d", *QUICK, "--only", "picture 0[0-2]*", "--exclude", "*5.png", "--dry-run")
    assert code == 0 and "60 samples in, as many out; 27 of them may be changed" in out
    for misspelt in (("--exclude", "nomatch*"), ("--only", "zzz*"), ("--split", "foo"), ("--split", "test")):
        code, _, err = run("protect", "embed", "d", *QUICK, *misspelt, "--dry-run")
        assert code == 2 and " ".join(misspelt) in err and len(err[err.index("error") :].strip().splitlines()) == 2


def test_the_reason_is_told_where_no_sample_can_take_part(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cut.tar").write_bytes((ROOT / "protect" / "assets" / "sample.tar").read_bytes()[:100_000])
    code, _, err = run("protect", "embed", "cut.tar", *QUICK)
    assert code == 2 and "set aside" in err and "cut" in err.splitlines()[-2]
    make_folder(tmp_path / "d" / "test", 30)
    code, _, err = run("protect", "embed", "d", *QUICK)
    assert code == 2 and "none of the 30 samples may be changed: their splits are test (30)" in err


def test_captions_cannot_steer_the_terminal(run: Run, tmp_path: Path) -> None:
    recaption(make_folder(tmp_path / "d", 60), [f"a \x1b[31mred\u202e kite {i}" for i in range(60)])
    out = run("protect", "embed", "d", *QUICK, "--alignment", "twa", "--dry-run")[1]
    assert "\x1b" not in out and "\u202e" not in out and r"\x1b[31mred" in out


def test_what_programs_read_is_not_changed(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    strange = "a \x92red\u202e kite"
    recaption(make_folder(tmp_path / "d", 60), [f"{strange} {i}" for i in range(60)])
    assert run("protect", "embed", "d", *QUICK, "--alignment", "twa", "--queries", 4, "--anyway")[0] == 0
    found = {}
    for name, arguments in {
        "diff": ("protect", "diff", "d", "d-protected"),
        "show": ("protect", "show", "d-protected"),
        "ask": ("detect", "ask", "d-protected"),
    }.items():
        code, out, _ = run(*arguments, "--json")
        assert code == 0 and "\x92" not in out and "\u202e" not in out
        found[name] = json.loads(out)
    assert all(strange in change["captions"][0][1] for change in found["diff"]["changes"])
    assert any("\x92" in caption for row in found["show"]["carriers"] for caption in row["captions"].values())
    code, out, _ = run("detect", "ask", "d-protected")
    prompts = [row["prompt"] for row in csv.DictReader(io.StringIO(out, newline=""))]
    assert code == 0 and prompts == [row["prompt"] for row in found["ask"]["questions"]]
    assert out.count("\r\n") == len(prompts) + 1 == out.count("\n") and "\x92" in out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    out = run("detect", "ask", "d-protected")[1]
    assert "\x92" not in out and r"\x92" in out and r"\r" not in out, "a terminal is not steered"


def test_long_captions_are_cut_to_what_changes(run: Run, tmp_path: Path) -> None:
    recaption(make_folder(tmp_path / "d", 60), [f"a red kite {i}, {'so high ' * 1200}\nabove all" for i in range(60)])
    code, out, _ = run("protect", "embed", "d", *QUICK, "--alignment", "twa", "--anyway")
    before, after = (re.search(rf"{when}: (.*)", out)[1] for when in ("before", "after"))  # type: ignore[index]
    assert code == 0 and before != after and max(map(len, out.splitlines())) < 400
    out = run("protect", "diff", "d", "d-protected")[1] + run("protect", "show", "d-protected")[1]
    assert max(map(len, out.splitlines())) < 600


def test_a_keyring_that_others_can_write_to_is_refused(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)
    code, _, err = run("protect", "embed", "d", *QUICK, "--anyway")
    assert code == 2 and "others can write to the keyring" in err


def test_detect_says_what_it_would_ask(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    run("protect", "embed", "d", *QUICK, "--family", "spread", "--queries", 16, "--anyway")
    code, out, _ = run("detect", "run", "--model", "d", "--dry-run", "--json")
    assert code == 0 and json.loads(out)[0]["most_pictures"] == 32


@pytest.mark.parametrize("rate", ["0", "1", "100%", "nan", "7"])
def test_a_false_discovery_rate_lies_between_none_and_all(run: Run, tmp_path: Path, rate: str) -> None:
    code, _, err = run("detect", "survey", tmp_path, "--false-discovery-rate", rate, "--dry-run")
    assert code == 2 and "--false-discovery-rate" in err and "is out of range" in err
    assert len(err[err.index("error: ") :].strip().splitlines()) == 2


def test_rehearsal_states_its_cost(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 50)
    code, out, _ = run(
        "detect",
        "rehearse",
        "d",
        "--family",
        "template",
        "--rate",
        0.2,
        "--steps",
        10,
        "--batch",
        10,
        "--dry-run",
        "--json",
    )
    assert code == 0 and json.loads(out) == {
        "samples": 50,
        "passes": 2.0,
        "carriers": 10,
        "exposures_of_carriers": 20.0,
        "pictures_asked": 32,
    }


def test_plan_learns_from_rehearsals_and_can_say_no(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    templates = ("--family", "template", "--alignment", "twa")
    runs = [
        {"family": "template", "alignment": "twa", "method": "lora", "sightings": s, "found": s > 300}
        for s in (50, 100, 200, 250, 400, 500, 800) * 3
    ]
    (tmp_path / "run.json").write_text(json.dumps(runs))
    code, out, _ = run("protect", "plan", "d", *templates, "--rate", 0.2, "--passes", 2, "--rehearsal", ".")
    assert code == 4 and out.startswith("not enough") and "carriers per slot are needed" in out
    assert "found in 9 of 21 runs after 50 to 800 sightings, on your rehearsals" in out
    code, out, _ = run("protect", "plan", "d", *templates, "--rate", 0.2, "--passes", 50, "--rehearsal", ".", "--json")
    planned = json.loads(out)
    assert code == 0 and planned["enough"] and planned["power_per_slot"] > 0.9 and planned["runs_found"] == 9
    code, out, _ = run("protect", "plan", "d", *templates, "--rate", 0.2, "--passes", 10, "--rehearsal", ".", "--json")
    better = json.loads(out)["remedy"].split()
    assert code == 4 and run("protect", "plan", "d", *templates, *better, "--passes", 10, "--rehearsal", ".")[0] == 0
    code, out, _ = run("protect", "plan", "d", "--rate", 0.2, "--family", "spread", "--method", "lora")
    assert code == 4 and out.startswith("not known") and "no run of this family" in out
    assert "nothing like it was tried" in out and "the test asks for at most 128 pictures" in out
    slow = run("protect", "plan", "d", *templates, "--rate", 0.2)[1]
    assert slow.count("not known: its learning rate is") == len(TRAINERS), "none of them trains as fast as our runs"
    code, out, _ = run("protect", "plan", "d", *templates, "--rate", 0.2, "--rehearsal", ".")
    assert "its learning rate is" not in out, "who rehearsed with a program knows what it does"
    code, _, err = run("protect", "plan", "d", "--family", "shade", "--both")
    assert code == 2 and "plants them already" in err
    assert {p.name for p in tmp_path.iterdir()} == {"d", "run.json"}


@pytest.mark.parametrize(
    "args",
    [
        ("protect", "embed", "missing"),
        ("protect", "embed", "empty"),
        ("protect", "embed", os.fsdecode(b"d\xff")),
        ("protect", "diff", "d", os.fsdecode(b"d\xff")),
        ("protect", "embed", "d", "--family", "template", "--output", os.fsdecode(b"o\xff")),
        ("protect", "embed", "d", "--family", "template", "--output", "two\nlines"),
        ("protect", "embed", "d", "--family", "template", "--name", "two\nlines"),
        ("protect", "commit", "d", "--family", "template", "--coin-from", "b:1", "--output", "two\nlines"),
        ("protect", "embed", "d", "--family", "template", "--rate", "0.0001"),
        ("protect", "embed", "d", "--family", "template", "--rate", "7"),
        ("protect", "embed", "d", "--family", "nope"),
        ("protect", "embed", "d", "--family", "template", "--option", "psnr=30"),
        ("protect", "embed", "d", "--family", "template", "--output", "d"),
        ("protect", "embed", "d", "--family", "template", "--rate", "lots"),
        ("protect", "embed", "d", "--family", "template", "--rate", "2 % or so"),
        ("protect", "embed", "d", "--family", "template", "--coin", "ab"),
        ("protect", "embed", "d", "--commitment", "nope", "--coin", "ab"),
        ("protect", "commit", "d", "--coin-from", "nothing"),
        ("protect", "commit", "d"),
        ("protect", "show", "d"),
        ("protect", "diff", "d", "missing"),
        ("protect", "embed", "d", "--family", "template", "--passes", "0"),
        ("protect", "embed"),
        ("protect", "embed", "d", "--family", "template", "--alignment", "nope"),
        ("protect", "embed", "d", "--family", "template", "--option", "depth"),
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
        ("detect", "rehearse", "d", "--family", "template", "--rate", "0.2", "--base", "empty", "--dry-run"),
        ("detect", "rehearse", "d", "--family", "template", "--rate", "0.2", "--learning-rate", "nan", "--dry-run"),
        ("detect", "rehearse", "d", "--rate", "0.2", "--family", "nope", "--dry-run"),
        ("protect", "plan", "d", "--rate", "0.2", "--method", "foo"),
        ("protect", "embed", "d", "--family", "template", "--rate", "0.2", "--decoys", "99"),
        ("protect", "embed", "d", "--family", "template", "--rate", "0.2", "--name", "a\nb"),
        ("protect", "embed", "/"),
        ("protect", "embed", "d", "--family", "template", "--rate", "0.2", "--output", "o" * 300),
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
        ("detect", "rehearse", "d", "--family", "template", "--rate", "0.2", "--alignment", "label", "--dry-run"),
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
    lines = err[err.index("error: ") :].strip().splitlines()
    assert len(lines) == 2 and "Traceback" not in err


def test_releases_made_for_practice_can_be_retired(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    for i in range(12):
        code, out, _ = run("protect", "embed", "d", "--family", "template", "--rate", 0.2, "-o", f"o{i}", "--anyway")
        assert code == 0 and ("protect retire" in out) == (i >= 10)
    assert run("protect", "retire", "o3")[0] == 0
    assert "o3 " not in run("protect", "ls")[1] and run("protect", "retire", "o3")[0] == 2
    assert list((tmp_path / "home" / "retired").iterdir())


def test_one_damaged_record_does_not_hide_the_others(run: Run, tmp_path: Path) -> None:
    make_folder(tmp_path / "d", 60)
    for name in ("good", "bad"):
        run("protect", "embed", "d", "--family", "template", "--rate", 0.2, "-o", name, "--anyway")
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
    script = (
        f"'{sys.executable}' -c 'import cli; cli.protect_main()' embed d --family template --rate 0.2 --anyway 2>&1"
    )
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
        [
            sys.executable,
            "-c",
            "import cli; cli.protect_main()",
            "embed",
            "图片",
            "--family",
            "template",
            "--rate",
            "0.2",
            "--anyway",
        ],
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
    assert "[by alignment: 1 to 8]" in run("protect", "embed", "--help")[1]
    assert run("detect", "--version")[1].startswith("detect (tracemark) ")


def test_a_stopped_run_says_that_it_resumes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import protect.embed.commands

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(protect.embed.commands, "embed", interrupted)
    code, _, err = run("protect", "embed", "d")
    assert code == 130 and "the same command goes on" in err


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
    for args in (
        ["--help"],
        ["embed", "d", "--family", "template", "--rate", "0.2", "--decoys", "99", "--alpha", "0.05", "--anyway"],
    ):
        subprocess.run(
            [sys.executable, "-c", code, *args],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            env={"TRACEMARK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "PATH": ""},
        )
    assert (tmp_path / "d-protected").is_dir()


@pytest.mark.parametrize("command", [("protect", "--help"), ("detect", "--help"), ("attacks", "ls"), ("protect", "ls")])
def test_answers_that_need_no_model_come_at_once(tmp_path: Path, command: tuple[str, str]) -> None:
    """CPU seconds of the process, so that other work on the machine does not count."""
    code = (
        f"import sys; sys.argv = {list(command)!r}; import cli, resource\n"
        f"try: cli.{command[0]}_main()\n"
        "except SystemExit: pass\n"
        "used = resource.getrusage(resource.RUSAGE_SELF)\n"
        "print(used.ru_utime + used.ru_stime, file=sys.stderr)\n"
    )
    environment = {"TRACEMARK_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    assert float(done.stderr.splitlines()[-1]) < 2, "about .7 on the machine where this was written"


def _commands(app: typer.Typer, name: str) -> set[str]:
    inner = [_commands(g.typer_instance, f"{name} {g.name}") for g in app.registered_groups if g.typer_instance]
    return {f"{name} {c.name}" for c in app.registered_commands}.union(*inner)


def _all_commands() -> set[str]:
    there = _commands(cli.protect_app(), "protect") | _commands(cli.detect_app(), "detect")
    return there | _commands(cli.attacks_app(), "attacks")


def test_readme_lists_exactly_the_commands_there_are() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = r"^\| `((?:protect|detect|attacks) (?:(?:provenance|recipients) )?[\w-]+)"
    assert set(re.findall(command, readme, flags=re.M)) == _all_commands()


def test_every_option_in_the_pages_exists(run: Run) -> None:
    helps = "".join(run(*command.split(), "--help")[1] for command in sorted(_all_commands() | set(MAINS)))
    there = set(re.findall(r"(?<![\w-])--[a-z][\w-]+", helps)) | {"--version"}
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        lines = [
            line for line in page.read_text(encoding="utf-8").splitlines() if "tracemark" not in line.split("#")[0]
        ]
        ours = "\n".join(line for line in lines if not _OTHERS.search(line))
        options = {o for o in re.findall(r"(?<![\w-])--[a-z][\w-]+", ours) if "_" not in o}  # others' have underscores
        assert options <= there, f"{page.name}: {sorted(options - there)}"


_OTHERS = re.compile(r"accelerate launch|train_|sphinx|openssl|pip install|python -m|\\\\$|=")
"""Lines of the pages that are other programs' commands."""


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
