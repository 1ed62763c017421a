"""A rehearsal from the dataset to the verdict, with a model too small to learn anything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from detect.training.cost import rehearsal_cost
from detect.training.options import FinetuneOptions
from detect.training.records import training_records
from detect.training.rehearse import Rehearsal, rehearse
from protect.errors import InputError
from protect.formats.dataset_format import AS_IT_IS, ReadOptions
from protect.release.plan import Options
from protect.release.power import RUN_FILE, rehearsed_runs
from tests.support.datasets import make_folder

EMBEDDING = Options(rate=0.2, slots=1, queries=2, steps=1, alignment="twa")
TINY = FinetuneOptions(rank=2, steps=2, batch=4, targets="attention", precision="fp32")


def _rehearse(dataset: Path, base: Path, work: Path, **more: object) -> Rehearsal:
    return rehearse(dataset, base, work, EMBEDDING, replace(TINY, **more))  # type: ignore[arg-type]


def test_a_rehearsal_ends_with_a_verdict_and_a_repeat_reuses_everything(base: Path, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 40)
    done = _rehearse(dataset, base, tmp_path / "work")
    assert done.verdict.outcome == "no evidence" and done.effect == "no measurable effect"
    assert done.set_aside == () and "throw-away-key" in done.verdict.flags
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*") if path.name != RUN_FILE}
    again = _rehearse(dataset, base, tmp_path / "work")
    assert again.verdict.as_json() == done.verdict.as_json() and again.release.id == done.release.id
    same = {path: path.stat().st_mtime_ns for path in before if path.is_file() and path.suffix != ".lock"}
    assert all(before[path] == time for path, time in same.items())
    (run,) = rehearsed_runs([tmp_path / "work"])
    assert (run.family, run.alignment, run.method, run.found) == ("template", "twa", "lora", False)
    assert run.sightings == pytest.approx(8 * 2 * 4 / 40), "8 carriers, each seen in a fifth of a pass"


def test_one_bad_picture_does_not_end_a_rehearsal(base: Path, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 40)
    for number in (3, 7):
        (dataset / f"picture {number:03}.png").write_bytes(b"no picture")
    done = _rehearse(dataset, base, tmp_path / "work")
    assert [one.key for one in done.set_aside] == ["picture 003.png", "picture 007.png"]
    assert all(one.reason for one in done.set_aside)
    again = _rehearse(dataset, base, tmp_path / "work")
    assert again.set_aside == done.set_aside, "they are named again although nothing is trained again"


def test_other_settings_need_another_folder(base: Path, tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 40)
    _rehearse(dataset, base, tmp_path / "work")
    with pytest.raises(InputError, match="other settings"):
        _rehearse(dataset, base, tmp_path / "work", steps=3)
    with pytest.raises(InputError, match="inside the dataset"):
        _rehearse(dataset, base, dataset / "work")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not a rehearsal's folder"):
        _rehearse(dataset, base, tmp_path / "mine")


def test_trainers_read_the_training_split_whatever_may_be_changed(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    for split in ("train", "test"):
        make_folder(folder / split, 6)
    records, unread = training_records(folder)
    assert {record.key.partition("/")[0] for record in records} == {"train"} and len(records) == 6 and not unread
    kept = training_records(folder, ReadOptions(exclude=("train/picture 000.png",)))[0]
    assert len(kept) == 6, "a sample that may not be changed is learned all the same"
    assert len(training_records(folder, ReadOptions(splits=("all",)))[0]) == 12
    assert {r.key.partition("/")[0] for r in training_records(folder, ReadOptions(splits=("testing",)))[0]} == {"test"}


def test_the_cost_is_told_beforehand(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 40)
    cost = rehearsal_cost(dataset, EMBEDDING, AS_IT_IS, presentations=80)
    assert json.loads(json.dumps(cost.as_json())) == {
        "samples": 40,
        "passes": 2.0,
        "carriers": 8,
        "exposures_of_carriers": 16.0,
        "pictures_asked": 2,
    }
    assert "8 carriers in 1 slot(s) would be seen 16 times" in cost.in_words()
