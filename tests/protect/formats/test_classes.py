from __future__ import annotations

from pathlib import Path

import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.survey import survey
from tests.support.datasets import Marking, contents, copied, draw, make_classes, make_folder


class _Pictures(Marking):
    def captions(self, key: str, captions):  # type: ignore[no-untyped-def]
        return captions


def test_folders_are_classes(tmp_path: Path) -> None:
    dataset = open_dataset(make_classes(tmp_path / "d", 3, 4))
    records = list(dataset.records())
    assert dataset.format == "class folders" and dataset.for_classifiers
    assert records[5].key == "class 1/001.png" and records[5].captions == {"class": "class 1"}
    assert survey(dataset).samples == 12


def test_pictures_change_and_classes_do_not(tmp_path: Path) -> None:
    dataset = open_dataset(make_classes(tmp_path / "d", 3, 4))
    copied(dataset, tmp_path / "copy", _Pictures({"class 1/001.png"}))
    before, after = contents(tmp_path / "d"), contents(tmp_path / "copy")
    assert {name for name in before if before[name] != after[name]} == {"class 1/001.png"}
    with pytest.raises(InputError, match=r"a trigger cannot be written into them\n.*--alignment label"):
        copied(dataset, tmp_path / "copy", Marking({"class 1/001.png"}))


@pytest.mark.parametrize("outer", ["train", "data/train", "training", "data", "data/images"])
def test_splits_and_outer_folders_are_no_classes(tmp_path: Path, outer: str) -> None:
    make_classes(tmp_path / "d" / outer, 2, 2)
    records = list(open_dataset(tmp_path / "d").records())
    assert {r.caption for r in records} == {"class 0", "class 1"} and {r.split for r in records} == {"train"}


def test_numbers_are_classes(tmp_path: Path) -> None:
    for i in (0, 1, 10):
        make_classes(tmp_path / "d" / f"{i}", 1, 2)
        (tmp_path / "d" / f"{i}" / "class 0").rename(tmp_path / "d" / f"{i}" / "deep")
    assert [r.caption for r in open_dataset(tmp_path / "d").records()] == ["0", "0", "1", "1", "10", "10"]


def test_splits_side_by_side(tmp_path: Path) -> None:
    for split in ("train", "testing", "val"):
        make_classes(tmp_path / "d" / split, 2, 3)
    found = survey(open_dataset(tmp_path / "d"))
    assert found.splits == {"train": 6, "test": 6, "validation": 6} and found.changeable == 6


def test_hidden_folders_are_no_classes(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "d", 2, 2)
    for name in (".ipynb_checkpoints", "__MACOSX", "@eaDir"):
        (folder / name).mkdir()
        draw(0).save(folder / name / "0-checkpoint.png")
    assert {r.caption for r in open_dataset(folder).records()} == {"class 0", "class 1"}
    copied(open_dataset(folder), tmp_path / "copy", _Pictures(set()))
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["class 0", "class 1"]


def test_what_is_no_class_folder(tmp_path: Path) -> None:
    make_classes(tmp_path / "one", 1, 3)
    make_folder(tmp_path / "splits" / "train", 2, "none")
    make_folder(tmp_path / "splits" / "test", 2, "none")
    make_classes(tmp_path / "loose", 2, 2)
    draw(0).save(tmp_path / "loose" / "x.png")
    for name in ("one", "splits", "loose"):
        with pytest.raises(InputError, match="pictures but no captions"):
            open_dataset(tmp_path / name)


def test_captions_come_before_classes(tmp_path: Path) -> None:
    make_folder(tmp_path / "d" / "a", 2, "sidecar")
    make_folder(tmp_path / "d" / "b", 2, "sidecar")
    assert open_dataset(tmp_path / "d").format == "sidecar"
