"""`protect plan --recipients`: what it takes to name who leaks, what the dataset has, and what that rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from protect.commands import protect_app
from protect.console import DONE, NOT_ENOUGH
from protect.errors import InputError
from protect.release.power import RUN_FILE
from protect.release.tracing import code_slots_needed
from tests.support.leaning import make_varied_folder, sayable_captions


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_varied_folder(tmp_path_factory.mktemp("plan") / "d", sayable_captions(210))


def _rehearsed(folder: Path, p_value: float) -> str:
    run = ("lean", "wording", "lora", 50.0, True, {}, "mine", 4, [p_value] * 4)
    names = ("family", "alignment", "method", "sightings", "found", "options", "suspect", "slots", "p_values")
    folder.mkdir(exist_ok=True)
    (folder / RUN_FILE).write_text(json.dumps([dict(zip(names, run, strict=True))]))
    return str(folder)


def _plan(dataset: Path, *more: str) -> tuple[int, dict[str, object]]:
    done = CliRunner().invoke(
        protect_app, ["plan", str(dataset), "--json", "--passes", "1", *more], standalone_mode=False
    )
    if done.exception:
        raise done.exception
    return done.return_value, json.loads(done.stdout)["naming"]  # type: ignore[return-value]


def test_it_says_how_many_choices_of_words_are_needed(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    good = _rehearsed(tmp_path / "good", 1e-6)
    code, found = _plan(dataset, "--slots", "4", "--recipients", "2", "--rehearsal", good)
    assert (code, found["enough"], found["slots"]) == (DONE, True, 4) and found["refused"] == ""
    code, many = _plan(dataset, "--slots", "2", "--recipients", "1000000", "--rehearsal", good)
    assert code == NOT_ENOUGH and not many["enough"]
    assert many["needed"] > found["needed"], "naming one of more recipients needs more"  # type: ignore[operator]
    bad = _rehearsed(tmp_path / "bad", 0.02)
    code, more = _plan(dataset, "--recipients", "5", "--rehearsal", bad)
    assert code == NOT_ENOUGH and "go together" in str(more["refused"]), "the captions do not have so many choices"
    code, together = _plan(dataset, "--recipients", "5", "--colluders", "5", "--rehearsal", bad)
    assert code == NOT_ENOUGH and together["needed"] is None and "1 model(s)" in str(together["basis"])


def test_what_was_not_measured_is_not_promised(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    code, found = _plan(dataset, "--recipients", "5")  # 210 sightings; the shipped runs saw 2,400 and more
    assert code == NOT_ENOUGH and found["needed"] is None and not found["basis"]
    with pytest.raises(InputError, match="--colluders 9 is out of range"):
        _plan(dataset, "--recipients", "5", "--colluders", "9")


def test_painted_copies_need_the_slots_of_a_code_and_carriers_for_each(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACEMARK_HOME", str(tmp_path / "home"))
    template = ("--family", "template", "--alignment", "twa", "--rate", "0.5", "--slots", "12")
    code, one = _plan(dataset, *template, "--recipients", "50")
    assert code == NOT_ENOUGH and one["needed"] == code_slots_needed(50, 1, 1e-3)
    assert "carriers" in str(one["refused"]), "one pass is too few for a hundred carriers"
    code, two = _plan(dataset, *template, "--recipients", "50", "--colluders", "2")
    assert code == NOT_ENOUGH and "at most 64" in str(two["refused"])
