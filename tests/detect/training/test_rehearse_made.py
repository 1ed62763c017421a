"""A rehearsal of another program's trainer: its model is tested in the place of one that is trained here."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from detect.training.finetune import finetune
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.training.rehearse import Prepared, prepare, rehearse, rehearse_made
from protect.embed.expectation import Expectation
from protect.embed.forecast import forecast
from protect.errors import InputError, SuspectError
from protect.release.plan import Options
from protect.release.power import rehearsed_runs
from tests.support.datasets import make_folder

EMBEDDING = Options(rate=0.2, slots=1, queries=2, steps=1, alignment="twa")
TINY = FinetuneOptions(rank=2, steps=2, batch=4, targets="attention", precision="fp32")


def another_program(prepared: Prepared, base: Path, output: Path, options: FinetuneOptions) -> Path:
    """Stands for any trainer: it reads the copy and writes a model where it likes."""
    finetune(base, training_records(prepared.copy)[0], output, options)
    return output


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return prepare(make_folder(tmp_path / "d", 40), tmp_path / "work", EMBEDDING)


def test_a_lora_and_a_whole_model_are_tested_and_remembered_side_by_side(
    prepared: Prepared, base: Path, tmp_path: Path
) -> None:
    lora = another_program(prepared, base, tmp_path / "theirs", TINY) / "pytorch_lora_weights.safetensors"
    done = rehearse_made(prepared, lora, base, 3.0)
    assert done.verdict.outcome == "no evidence" and done.suspect == lora and done.release == prepared.release
    (run,) = rehearsed_runs([prepared.work])
    assert (run.method, run.passes, run.sightings, run.found) == ("lora", 3.0, 8 * 3.0, False)
    assert run.captions_learned == done.captions_learned is not None
    assert run.p_values == (done.verdict.slots[0].evidence.p_value,)
    whole = another_program(prepared, base, tmp_path / "whole", replace(TINY, method="full", learning_rate=1e-3))
    rehearse_made(prepared, whole, None, 5.0)
    assert [(r.method, r.passes) for r in rehearsed_runs([prepared.work])] == [("lora", 3.0), ("full", 5.0)]
    assert len({r.suspect for r in rehearsed_runs([prepared.work])}) == 2
    assert {r.key for r in rehearsed_runs([prepared.work])} == {prepared.release.id}
    rehearse_made(prepared, whole, None, 6.0)
    assert [(r.method, r.passes) for r in rehearsed_runs([prepared.work])] == [("lora", 3.0), ("full", 6.0)]


def test_the_same_weights_get_the_same_verdict_whoever_trained_them(base: Path, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 40)
    own = rehearse(dataset, base, tmp_path / "own", EMBEDDING, TINY)
    shutil.copytree(tmp_path / "own" / "suspect", tmp_path / "theirs")
    again = prepare(dataset, tmp_path / "again", EMBEDDING)
    made = rehearse_made(again, tmp_path / "theirs", base, 0.2)
    assert made.verdict.e_value == own.verdict.e_value and made.captions_learned == own.captions_learned
    runs = [rehearsed_runs([tmp_path / name])[0] for name in ("own", "again")]
    assert runs[0].sightings == pytest.approx(runs[1].sightings) and runs[0].p_values == runs[1].p_values


def test_a_plan_learns_from_it(prepared: Prepared, base: Path, tmp_path: Path) -> None:
    rehearse_made(prepared, another_program(prepared, base, tmp_path / "theirs", TINY), base, 30.0)
    runs = tuple(rehearsed_runs([prepared.work]))
    told = forecast(EMBEDDING, 8, 40, Expectation(30, "lora", runs))
    assert told.power is None and told.verdict == "not enough" and "found in 0 of 1 runs" in told.basis
    assert forecast(EMBEDDING, 8, 40, Expectation(30, "lora")).power is not None, "the shipped runs promised more"


def test_a_prepared_copy_keeps_its_settings(prepared: Prepared, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="other settings"):
        prepare(tmp_path / "d", prepared.work, replace(EMBEDDING, rate=0.3))
    assert prepare(tmp_path / "d", prepared.work, EMBEDDING).release.id == prepared.release.id


def test_a_model_that_cannot_be_opened_leaves_no_run(prepared: Prepared, base: Path, tmp_path: Path) -> None:
    with pytest.raises(SuspectError):
        rehearse_made(prepared, tmp_path / "nothing", base, 3.0)
    (tmp_path / "cut.safetensors").write_bytes(b"cut")
    with pytest.raises(SuspectError):
        rehearse_made(prepared, tmp_path / "cut.safetensors", base, 3.0)
    assert not (prepared.work / "run.json").exists()
