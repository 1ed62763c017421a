"""`attacks run` before any work: what it would cost, and what it refuses in two lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from attacks.commands import attacks_app
from protect.console import SET_ASIDE, run_app
from tests.support.datasets import make_folder


def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    monkeypatch.setattr("sys.argv", ["attacks", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run_app(attacks_app, "attacks")
    out, err = capsys.readouterr()
    return int(stop.value.code or 0), out, err


def test_a_dry_run_says_what_a_run_would_cost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, work = make_folder(tmp_path / "d", 60), tmp_path / "w"
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[cell]]\nattack = "jpeg"\nstrength = [0.2, 1]\n[[cell]]\nattack = "merge-other"\nstrength = 1\n'
        '[[cell]]\nattack = "noise"\nstrength = 1\nwhere = "outputs"\n'
    )
    code, out, _ = run(
        monkeypatch, capsys, "run", dataset, "-o", work, "--plan", plan, "--dry-run", "--json", "--keys", 2
    )
    found = json.loads(out)
    assert code == 0 and len(found["cells"]) == 4 and not work.exists()
    assert found["fine_tunes"] == 4, "two on attacked data, one on the copy, one to lay over it"
    assert found["presentations"] == 4 * 200 * 64
    _, out, _ = run(monkeypatch, capsys, "run", dataset, "-o", work, "--dry-run", "--keys", 2)
    assert re.search(r"at most \d+ fine-tunes of 200 steps \(320\.0 passes\) each, 94 tests", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--family", "nope"], "unknown mark family 'nope'"),
        (["--alignment", "label"], "cannot be measured with alignment 'label'"),
        (["--steps", "0"], "--steps 0 is out of range"),
        (["--rate", "many"], "many"),
        (["--option", "template.psnr"], "is not NAME=VALUE"),
        (["--option", "spread.psnr=30"], "--option for spread, which no cell marks with"),
        (["--plan", "none.toml"], "none.toml cannot be read"),
        (["--plan", "none.toml", "--family", "spread"], "--plan beside --family or --alignment"),
        (["--captioner", "none"], "none is not a folder"),
        (["--caption-column", "nope"], "nope"),
    ],
)
def test_bad_arguments_are_refused_in_two_lines(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    dataset = make_folder(tmp_path / "d", 60)
    code, out, err = run(monkeypatch, capsys, "run", dataset, "-o", tmp_path / "w", "--dry-run", *arguments)
    assert code == 2 and not out and message in err
    assert err.startswith("error: ") and len(err.strip().splitlines()) == 2


def test_too_few_samples_and_folders_inside_the_dataset_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small, large = make_folder(tmp_path / "small", 20), make_folder(tmp_path / "large", 60)
    code, _, err = run(monkeypatch, capsys, "run", small, "-o", tmp_path / "w", "--dry-run")
    assert code == 2 and "holds 20 samples" in err
    code, _, err = run(monkeypatch, capsys, "run", large, "-o", large / "w", "--dry-run")
    assert code == 2 and "lies inside the dataset" in err
    code, _, err = run(
        monkeypatch, capsys, "run", large, "-o", tmp_path / "w", "--dry-run", "--exclude", "picture 0[2-5]*"
    )
    assert code == 2 and "holds 20 samples" in err, "samples that are left out take no part"


def test_a_run_ends_with_the_samples_that_were_set_aside(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, plan = make_folder(tmp_path / "d", 60), tmp_path / "plan.toml"
    (dataset / "picture 007.png").write_bytes(b"no picture")
    plan.write_text('[[cell]]\nattack = "noise"\nstrength = 1\nwhere = "outputs"\nfamily = "template"\n')
    small = ["--rate", 0.2, "--steps", 2, "--batch", 4, "--sampling-steps", 1, "--base", base, "--plan", plan]
    code, out, _ = run(monkeypatch, capsys, "run", dataset, "-o", tmp_path / "w", *small, "--json")
    found = json.loads(out)
    assert code == SET_ASIDE and [cell["attack"] for cell in found["cells"]] == ["noise"]
    assert [aside["key"] for aside in found["set_aside"]] == ["picture 007.png"]
    assert "picture 007.png" in Path(found["report"]).read_text()
    code, out, _ = run(monkeypatch, capsys, "run", dataset, "-o", tmp_path / "w", *small)
    assert code == SET_ASIDE and "set aside: picture 007.png: " in out and "noise at 1, outputs: " in out
