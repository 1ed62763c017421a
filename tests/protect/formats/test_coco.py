from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.json_arrays import elements
from protect.formats.record import SetAside
from protect.formats.survey import survey
from tests.support.datasets import Marking, contents, copied, draw, hash_of_hashes


def _coco(
    root: Path, count: int = 20, split: str = "train2017", ascii_only: bool = True, indent: int | None = None
) -> Path:
    pictures = root / split
    pictures.mkdir(parents=True)
    (root / "annotations").mkdir(exist_ok=True)
    images, notes = [], []
    for i in range(count):
        draw(i, 16).save(pictures / f"{i:012}.png")
        images.append({"license": 1, "file_name": f"{i:012}.png", "height": 16, "id": 1000 + i})
        notes += [{"image_id": 1000 + i, "id": 5 * i + j, "caption": f"box {i} 盒子, told {j}. "} for j in range(5)]
    random.Random(0).shuffle(notes)
    value = {"info": {"x": ["]", {"annotations": 1}]}, "images": images, "licenses": [{"id": 1}], "annotations": notes}
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    (root / "annotations" / f"captions_{split}.json").write_text(text, encoding="utf-8")
    return root


def test_every_caption_of_a_picture_is_a_field(tmp_path: Path) -> None:
    dataset = open_dataset(_coco(tmp_path / "d"))
    records = list(dataset.records())
    assert dataset.format == "COCO captions" and len(records) == 20
    assert records[7].key == "train2017/000000000007.png"
    assert set(records[7].captions) == {f"annotations[{i}].caption" for i in range(5)}
    assert sorted(records[7].captions.values()) == [f"box 7 盒子, told {j}." for j in range(5)]


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_copies_change_in_all_captions_and_nowhere_else(tmp_path: Path, ascii_only: bool, indent: int | None) -> None:
    folder = _coco(tmp_path / "d", ascii_only=ascii_only, indent=indent)
    key, name = "train2017/000000000007.png", "annotations/captions_train2017.json"
    copied(open_dataset(folder), tmp_path / "copy", Marking({key}))
    before, after = contents(folder), contents(tmp_path / "copy")
    assert {path for path in before if before[path] != after[path]} == {key, name}
    assert after[name].replace(b"zork ", b"") == before[name] and after[name].count(b"zork ") == 5
    (again,) = (r for r in open_dataset(tmp_path / "copy").records() if r.key == key)
    assert all(text.startswith("zork box 7") for text in again.captions.values())


def test_splits_and_pictures_without_captions(tmp_path: Path) -> None:
    folder = _coco(_coco(tmp_path / "d"), 10, "val2017")
    (folder / "test2017").mkdir()
    draw(0).save(folder / "test2017" / "x.png")
    (folder / "annotations" / "instances_val2017.json").write_text('{"images": [], "annotations": [{"image_id": 1}]}')
    found = survey(open_dataset(folder))
    assert found.splits == {"train": 20, "validation": 10} and found.changeable == 20
    assert found.first_set_aside == (SetAside("test2017/x.png", "no caption"),)
    copied(open_dataset(folder), tmp_path / "copy", Marking(set()))
    assert hash_of_hashes(folder) == hash_of_hashes(tmp_path / "copy")


def test_damaged_annotations_are_refused(tmp_path: Path) -> None:
    folder = _coco(tmp_path / "d", 3)
    path = folder / "annotations" / "captions_train2017.json"
    whole = path.read_text()
    for text in (whole[:-40], whole.replace('"caption": "box', '"caption": box', 1), whole + "}"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"captions_train2017.json cannot be read as JSON.*\nMend") as refusal:
            list(open_dataset(folder).records())
        assert str(refusal.value).count("\n") == 1


def test_images_listed_twice_are_refused(tmp_path: Path) -> None:
    folder = _coco(tmp_path / "d", 3)
    path = folder / "annotations" / "captions_train2017.json"
    value = json.loads(path.read_text())
    value["images"].append(value["images"][0])
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="two images with the id 1000"):
        survey(open_dataset(folder))
    value["images"][-1] = value["images"][0] | {"id": 7}
    value["annotations"].append({"image_id": 7, "id": 99, "caption": "a box"})
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match=r"image 1 and .*image 4"):
        survey(open_dataset(folder))


def test_images_that_share_captions_are_refused(tmp_path: Path) -> None:
    folder = _coco(tmp_path / "d", 3)
    path = folder / "annotations" / "captions_train2017.json"
    value = json.loads(path.read_text())
    value["images"][1]["id"] = value["images"][0]["id"]  # another picture: it would change with the first one
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="two images with the id 1000"):
        survey(open_dataset(folder))


def test_ids_that_are_texts_lead_to_their_captions_in_every_process(tmp_path: Path) -> None:
    folder = _coco(tmp_path / "d", 3)
    path = folder / "annotations" / "captions_train2017.json"
    value = json.loads(path.read_text())
    for image in value["images"]:
        image["id"] = f"id {image['id']} \ud800"
    for note in value["annotations"]:
        note["image_id"] = f"id {note['image_id']} \ud800"
    path.write_text(json.dumps(value))
    dataset = open_dataset(folder)
    captions = [sorted(record.captions.values()) for record in dataset.records()]
    assert captions[2] == [f"box 2 盒子, told {j}." for j in range(5)]
    (tmp_path / "shards").write_bytes(pickle.dumps(dataset.shards))  # with the index that was made here
    code = (
        "import json, pathlib, pickle, sys; shards = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()); "
        "print(json.dumps([sorted(found.captions.values()) for shard in shards for found in shard.scan()]))"
    )
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "shards")],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        )
        assert json.loads(done.stdout) == captions


INNER = st.recursive(
    st.none() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=6,
)


@example({"a": {"x": {"y": 1}}, "b": [{}]}, True)
@example({"a": [[{"y": 1}], {"z": {}}, {}], "c]": [{"x": [{}]}]}, True)
@given(st.dictionaries(st.sampled_from(["a", "b", "c]", '"']), st.lists(INNER, max_size=4) | INNER), st.booleans())
def test_elements_are_those_that_json_sees(value: dict[str, object], ascii_only: bool) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only).encode()
    found = [(name, json.loads(data[start:end])) for name, start, end in elements(data, "a", "c]")]
    wanted = [
        (name, one) for name, many in value.items() if name in ("a", "c]") and isinstance(many, list) for one in many
    ]
    assert found == [(name, one) for name, one in wanted if isinstance(one, dict)]
