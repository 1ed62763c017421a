"""`detect rehearse` as its user meets it: another program's trainer, and what makes no sense together."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cli
from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from tests.support.datasets import make_folder

Run = Callable[..., tuple[int, str, str]]
MARKED = ("--family", "template", "--alignment", "twa", "--rate", "0.2", "--slots", "1", "--queries", "2")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Call `detect rehearse`; returns exit code, stdout and stderr."""
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    make_folder(tmp_path / "d", 40)

    def call(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["detect", "rehearse", "d", *map(str, args)])
        with pytest.raises(SystemExit) as stop:
            cli.detect_main()
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


def test_another_programs_model_is_tested_in_its_place(run: Run, base: Path, tmp_path: Path) -> None:
    code, out, _ = run(*MARKED, "-o", "w", "--prepare")
    assert code == 0 and "train on w/protected" in out and not (tmp_path / "w" / "suspect").exists()
    tiny = FinetuneOptions(rank=2, steps=2, batch=4, targets="attention", precision="fp32")
    finetune(base, training_records(tmp_path / "w" / "protected")[0], tmp_path / "theirs", tiny)
    theirs = ("--suspect", "theirs", "--base", base, "--passes", 4)
    code, out, _ = run(*MARKED, "-o", "w", *theirs, "--json")
    said = json.loads(out)
    assert code == 0 and said["effect"] is False and isinstance(said["captions_learned"], float)
    assert (tmp_path / "w" / "report.html").is_file()
    (row,) = json.loads((tmp_path / "w" / "run.json").read_text())
    assert (row["passes"], row["sightings"], row["method"]) == (4.0, 32.0, "lora")
    code, out, _ = run(*MARKED, "-o", "w", *theirs)
    assert code == 0 and "no measurable effect" in out and "captions learned: it errs by" in out
    code, _, err = run(*MARKED, "-o", "w", "--rate", "0.3", *theirs)
    assert code == 2 and "other settings" in err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--suspect", "x"), "--suspect needs --passes"),
        (("--passes", "3"), "--passes is for a --suspect"),
        (("--suspect", "x", "--passes", "0"), "--passes 0"),
        (("--suspect", "x", "--prepare", "--passes", "3"), "--prepare comes before --suspect"),
        (("--suspect", "x", "--passes", "3", "--steps", "10"), "--steps"),
        (("--prepare", "--min-snr", "5"), "--min-snr"),
        (("--alpha", "0"), "--alpha"),
        (("--accumulation", "0"), "--accumulation"),
        (("--caption-dropout", "2"), "--caption-dropout"),
        (("--noise-offset", "-1"), "--noise-offset"),
        (("--resolution", "4"), "--resolution"),
        (("--min-snr", "nan"), "--min-snr"),
        (("--precision", "fp8"), "--precision"),
    ],
)
def test_what_makes_no_sense_is_refused_in_two_lines(run: Run, args: tuple[str, ...], said: str) -> None:
    code, out, err = run(*MARKED, *args, "--dry-run")
    assert code == 2 and out == "" and said in err and "Traceback" not in err
    assert len(err[err.index("error: ") :].strip().splitlines()) == 2


def test_the_cost_counts_accumulation_or_another_programs_passes(run: Run) -> None:
    code, out, _ = run(*MARKED, "--steps", 5, "--batch", 4, "--accumulation", 2, "--dry-run", "--json")
    assert code == 0 and json.loads(out)["passes"] == 1.0
    code, out, _ = run(*MARKED, "--suspect", "x", "--passes", 7, "--dry-run", "--json")
    assert code == 0 and json.loads(out)["passes"] == 7.0


def test_a_suspect_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    code, _, err = run(*MARKED, "-o", "w", "--suspect", "missing", "--passes", 3)
    assert code == 2 and "missing" in err and not (tmp_path / "w" / "run.json").exists()
