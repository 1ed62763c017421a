from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.dataset_format import ReadOptions
from tests.support.datasets import draw, make_classes, make_folder


def test_folders_that_are_no_datasets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(InputError, match="holds no pictures"):
        open_dataset(tmp_path)
    draw(0).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"looked for metadata.jsonl.*COCO.*\.txt.*tar.*\n.*class folders") as refusal:
        open_dataset(tmp_path)
    assert str(refusal.value).count("\n") == 1
    with pytest.raises(InputError, match=r"a.png is a file of no known format\n.*\.parquet"):
        open_dataset(tmp_path / "a.png")


@pytest.mark.parametrize("other", ["sidecar", "coco", "json"])
def test_captions_kept_in_two_ways_are_refused(tmp_path: Path, other: str) -> None:
    """Only one would get the triggers, and comparing the two would list all carriers."""
    folder = make_folder(tmp_path / "d", 2)
    if other == "sidecar":
        (folder / "picture 000.txt").write_text("a box")
    elif other == "json":
        (folder / "picture 000.json").write_text('{"caption": "a box"}')
    else:
        images = [{"id": 1, "file_name": "picture 000.png"}]
        value = {"images": images, "annotations": [{"image_id": 1, "caption": "a box"}]}
        (folder / "captions.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"captions in two ways: .*imagefolder.*\nKeep one") as refusal:
        open_dataset(folder)
    assert str(refusal.value).count("\n") == 1


def test_tables_without_captions_are_no_second_way(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 3, "sidecar")
    rows = [{"file_name": f"picture 00{i}.png", "label": i, "photographer": "someone"} for i in range(3)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert open_dataset(folder).format == "sidecar"
    for path in folder.glob("*.txt"):
        path.unlink()
    with pytest.raises(InputError, match=r"metadata.jsonl: no column has a usual name.*label|photographer"):
        open_dataset(folder)
    options = ReadOptions(caption_columns=("photographer",))
    assert [r.caption for r in open_dataset(folder, options).records()] == ["someone"] * 3


def test_opening_reads_no_picture(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 3)
    for path in folder.glob("*.png"):
        path.write_bytes(b"")
    assert len(list(open_dataset(folder).records())) == 3


def test_any_spelling_of_the_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_classes(tmp_path / "d", 2, 2)
    shutil.copytree(tmp_path / "d", tmp_path / "猫")
    monkeypatch.chdir(tmp_path)
    assert len(list(open_dataset(Path("d")).records())) == len(list(open_dataset(Path("./猫/../d")).records())) == 4
    assert len(list(open_dataset(Path("猫")).records())) == 4
