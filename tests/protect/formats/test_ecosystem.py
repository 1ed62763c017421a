"""Copies of five hundred samples and more are read back by the library that people train with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from protect.formats import open_dataset
from protect.formats.survey import survey
from tests.support.datasets import Marking, contents, copied, draw, hash_of_hashes

pytestmark = pytest.mark.filterwarnings(  # the library leaves the table open
    "ignore:Exception ignored in.*metadata.csv:pytest.PytestUnraisableExceptionWarning"
)
Load = Callable[[Path], dict[str, list[dict[str, object]]]]
COUNT = 520
NAMES = ["plain {i:03}.png", "a.b.c {i:03}.png", "猫 {i:03}.png", "cafe\u0301 {i:03}.png", "deep/er/x{i:03}.png"]


class _Inverted(Marking):
    """Changes pixels, so that a reader of pictures sees it."""

    def picture(self, key: str, read: Callable[[], bytes]) -> bytes | None:
        if key not in self.keys:
            return None
        import io

        out = io.BytesIO()
        Image.fromarray(255 - np.asarray(Image.open(io.BytesIO(read())))).save(out, "PNG")
        return out.getvalue()


def _rows(folder: Path) -> list[dict[str, object]]:
    rows = []
    for i in range(COUNT):
        name = NAMES[i % len(NAMES)].format(i=i)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(i, 16).save(path)
        rows.append({"file_name": name, "text": f"box {i}, “盒子”", "captions": [f"one, {i}", f'"two" {i}'], "n": i})
    return rows


def _write(folder: Path, layout: str) -> None:
    rows = _rows(folder)
    path = folder / layout
    if layout.endswith(".jsonl"):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    elif layout.endswith(".csv"):
        lines = [f'{row["file_name"]},"{row["text"]}",{row["n"]}\r\n' for row in rows]
        path.write_bytes(("file_name,text,n\r\n" + "".join(lines)).encode())
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """What `datasets` finds in a folder, by split."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()

    def load(folder: Path) -> dict[str, list[dict[str, object]]]:
        found = datasets.load_dataset("imagefolder", data_dir=str(folder), cache_dir=str(tmp_path / "cache"))
        return {split: list(rows) for split, rows in found.items()}

    return load


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "metadata.parquet"])
def test_imagefolder(tmp_path: Path, load: Load, layout: str) -> None:
    folder = tmp_path / "d"
    _write(folder, layout)
    dataset = open_dataset(folder)
    keys = [record.key for record in dataset.records()]
    chosen = set(keys[::50])
    copied(dataset, tmp_path / "copy", _Inverted(chosen))
    old, new = load(folder)["train"], load(tmp_path / "copy")["train"]
    assert len(old) == len(new) == len(keys) == survey(open_dataset(tmp_path / "copy")).samples == COUNT
    for key, before, after in zip(keys, old, new, strict=True):
        mark = "zork " if key in chosen else ""
        assert after["text"] == mark + str(before["text"]) and after["n"] == before["n"]
        if layout != "metadata.csv":
            assert after["captions"] == [mark + text for text in before["captions"]]  # type: ignore[attr-defined]
        pixels = np.asarray(before["image"])
        assert np.array_equal(after["image"], 255 - pixels if key in chosen else pixels)
    assert hash_of_hashes(folder, {*chosen, layout}) == hash_of_hashes(tmp_path / "copy", {*chosen, layout})
    assert len(contents(tmp_path / "copy")) == COUNT + 1


def test_splits_are_those_of_the_library(tmp_path: Path, load: Load) -> None:
    for part, count in (("train", 300), ("dev", 150), ("testing", 50)):
        folder = tmp_path / "d" / "data" / part
        folder.mkdir(parents=True)
        rows = []
        for i in range(count):
            draw(i, 16).save(folder / f"{i:03}.png")
            rows.append({"file_name": f"{i:03}.png", "text": f"box {i}"})
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    dataset = open_dataset(tmp_path / "d")
    found = survey(dataset)
    assert {split: len(rows) for split, rows in load(tmp_path / "d").items()} == found.splits
    keys = {r.key for i, r in enumerate(dataset.records()) if r.split == "train" and i % 25 == 0}
    copied(dataset, tmp_path / "copy", _Inverted(keys))
    marked = {
        split: sum(str(row["text"]).startswith("zork") for row in rows)
        for split, rows in load(tmp_path / "copy").items()
    }
    assert marked == {"train": len(keys), "validation": 0, "test": 0}


def test_classes_are_those_of_the_library(tmp_path: Path, load: Load) -> None:
    for i in range(COUNT):
        folder = tmp_path / "d" / f"class {i % 4}"
        folder.mkdir(parents=True, exist_ok=True)
        draw(i, 16).save(folder / f"{i:03}.png")
    dataset = open_dataset(tmp_path / "d")
    records = list(dataset.records())

    class Pictures(_Inverted):
        def captions(self, key, captions):  # type: ignore[no-untyped-def]
            return captions

    chosen = {record.key for record in records[::50]}
    copied(dataset, tmp_path / "copy", Pictures(chosen))
    new = load(tmp_path / "copy")["train"]
    assert [f"class {row['label']}" for row in new] == [record.caption for record in records]
    for record, row in zip(records, new, strict=True):
        before = np.asarray(Image.open(tmp_path / "d" / record.key))
        assert np.array_equal(row["image"], 255 - before if record.key in chosen else before)
    assert hash_of_hashes(tmp_path / "d", chosen) == hash_of_hashes(tmp_path / "copy", chosen)
