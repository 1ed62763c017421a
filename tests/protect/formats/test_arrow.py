from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.arrow import SavedToDisk
from protect.formats.dataset_format import ReadOptions
from protect.formats.survey import survey
from tests.support.datasets import Marking
from tests.support.shards import aside, copied, files, png, records

NOTHING = Marking(set())


def made(count: int = 500, start: int = 0) -> datasets.Dataset:
    datasets.disable_progress_bars()
    numbers = range(start, start + count)
    text = datasets.Value("string")
    columns = {
        "image": [{"bytes": png(i), "path": f"{i:05}.png"} for i in numbers],
        "caption": [f"box {i}, 盒子" for i in numbers],
        "alt_text": [[f"a box {i}"] for i in numbers],
        "n": list(numbers),
    }
    kinds = {"image": datasets.Image(), "caption": text, "alt_text": datasets.List(text), "n": datasets.Value("int32")}
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    made().save_to_disk(tmp_path / "set", num_shards=3)
    return tmp_path / "set"


DATA = "data-00001-of-00003"


def test_load_from_disk_reads_the_copy(saved: Path, tmp_path: Path) -> None:
    dataset = open_dataset(saved)
    assert dataset.format == "save_to_disk"
    chosen = set(list(records(dataset))[::50])
    copy = copied(dataset, tmp_path / "copy", Marking(chosen))
    before, after = (datasets.load_from_disk(str(folder)) for folder in (saved, copy))
    assert after.features == before.features and len(after) == 500 and len(chosen) == 10
    plain = datasets.Image(decode=False)
    marked = {int(key[-9:-4]) for key in chosen}
    pairs = zip(before.cast_column("image", plain), after.cast_column("image", plain), strict=True)
    for i, (old, new) in enumerate(pairs):
        if i not in marked:
            assert new == old
            continue
        assert new == {
            "image": {"bytes": png(i) + b"marked", "path": f"{i:05}.png"},
            "caption": f"zork box {i}, 盒子",
            "alt_text": [f"zork a box {i}"],
            "n": i,
        }
    words = after.map(lambda row: {"length": len(row["caption"])}, remove_columns=["image"])
    assert words[0]["length"] != len(before[0]["caption"])


def test_everything_but_changed_batches_keeps_its_bytes(saved: Path, tmp_path: Path) -> None:
    copy = copied(open_dataset(saved), tmp_path / "copy", Marking({f"{DATA}/00200.png"}))
    before, after = files(saved), files(copy)
    assert before.keys() == after.keys()
    assert [name for name in before if before[name] != after[name]] == [f"{DATA}.arrow"]
    assert json.loads(after["state.json"])["_fingerprint"] == json.loads(before["state.json"])["_fingerprint"]
    with pa.ipc.open_stream(saved / f"{DATA}.arrow") as one, pa.ipc.open_stream(copy / f"{DATA}.arrow") as two:
        assert two.schema.equals(one.schema, check_metadata=True)
        assert [batch.num_rows for batch in one] == [batch.num_rows for batch in two]


def test_small_batches_stay_as_they_are(tmp_path: Path) -> None:
    """Streams of many record batches: those without a change are the same bytes."""
    made(100).save_to_disk(tmp_path / "set")
    path = tmp_path / "set" / "data-00000-of-00001.arrow"
    with pa.ipc.open_stream(path.read_bytes()) as stream:
        table = stream.read_all()
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=10)
    copy = copied(open_dataset(tmp_path / "set"), tmp_path / "copy", Marking({"data-00000-of-00001/00055.png"}))
    before, after = (pa.ipc.open_stream(f.read_bytes()) for f in (path, copy / path.name))
    same = [old.serialize().equals(new.serialize()) for old, new in zip(before, after, strict=True)]
    assert same == [i != 5 for i in range(10)]


def test_a_dataset_without_changes_is_copied_or_linked(saved: Path, tmp_path: Path) -> None:
    assert files(copied(open_dataset(saved), tmp_path / "copy", NOTHING)) == files(saved)
    linked = copied(open_dataset(saved), tmp_path / "linked", Marking({f"{DATA}/00200.png"}), link=True)
    assert (linked / "data-00000-of-00003.arrow").samefile(saved / "data-00000-of-00003.arrow")
    assert not (linked / f"{DATA}.arrow").samefile(saved / f"{DATA}.arrow")


def test_two_runs_write_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    marking = Marking({f"{DATA}/00200.png"})
    first, second = (copied(open_dataset(saved), tmp_path / name, marking) for name in ("a", "b"))
    assert files(first) == files(second) != files(saved)


def test_splits_are_those_of_the_folders(tmp_path: Path) -> None:
    parts = made(60).train_test_split(test_size=0.25, seed=0)
    parts = datasets.DatasetDict({name: part.flatten_indices() for name, part in parts.items()})
    parts.save_to_disk(tmp_path / "set")
    dataset = open_dataset(tmp_path / "set")
    assert survey(dataset).splits == {"train": 45, "test": 15}
    copy = copied(dataset, tmp_path / "copy", Marking(set(list(records(dataset))[:1])))
    loaded = datasets.load_from_disk(str(copy))
    assert {name: len(part) for name, part in loaded.items()} == {"train": 45, "test": 15}
    marked = [
        row["caption"] for part in loaded.values() for row in part.remove_columns("image") if "zork" in row["caption"]
    ]
    assert len(marked) == 1


def test_pictures_are_read_from_any_thread(saved: Path) -> None:
    found = list(open_dataset(saved).records())
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda r: r.read(), found[::-7])) == [png(int(r.key[-9:-4])) for r in found[::-7]]


def test_caches_are_left_out_and_listed(saved: Path, tmp_path: Path) -> None:
    for name in ("cache-0123456789abcdef.arrow", "tmpabc.arrow", "notes.txt"):
        shutil.copy(saved / f"{DATA}.arrow", saved / name)
    dataset = open_dataset(saved)
    reasons = {one.path: one.reason for one in dataset.left_out}
    assert reasons == {
        "*.arrow": "a cache, may hold samples as they were (2 files)",
        "notes.txt": "may hold captions or pictures as they were",
    }
    copied(dataset, tmp_path / "copy", NOTHING)
    assert len(datasets.load_from_disk(str(tmp_path / "copy"))) == 500


def test_rows_in_an_order_of_their_own_are_refused(saved: Path) -> None:
    state = json.loads((saved / "state.json").read_text())
    (saved / "state.json").write_text(json.dumps(state | {"_indices_data_files": [{"filename": "indices.arrow"}]}))
    with pytest.raises(InputError, match=r"an indices mapping\)\nCall flatten_indices"):
        open_dataset(saved)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"_data_files": [1]}'])
def test_a_damaged_state_is_refused(saved: Path, content: str) -> None:
    (saved / "state.json").write_text(content)
    with pytest.raises(InputError, match="is damaged"):
        open_dataset(saved)


def test_a_missing_file_is_refused(saved: Path) -> None:
    (saved / f"{DATA}.arrow").unlink()
    with pytest.raises(InputError, match=rf"lacks {DATA}\.arrow"):
        open_dataset(saved)


@pytest.mark.parametrize("cut", [0.0, 0.001, 0.3, 0.6, 0.99])
def test_a_truncated_stream_is_set_aside_and_copied(saved: Path, tmp_path: Path, cut: float) -> None:
    path = saved / f"{DATA}.arrow"
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    dataset = open_dataset(saved)
    assert list(aside(dataset)) == [f"{DATA}.arrow"] and survey(dataset).samples == 333
    copy = copied(dataset, tmp_path / "copy", Marking({f"{DATA}/00200.png"}))
    assert (copy / f"{DATA}.arrow").read_bytes() == path.read_bytes()


def test_a_stream_without_its_end_mark_is_set_aside(saved: Path) -> None:
    path = saved / f"{DATA}.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    assert aside(open_dataset(saved)) == {f"{DATA}.arrow": "cut short: it has no end mark"}


def test_pictures_stored_by_path_are_set_aside(tmp_path: Path) -> None:
    kinds = datasets.Features({"image": datasets.Image(), "text": datasets.Value("string")})
    rows = {"image": [{"bytes": png(0), "path": "0.png"}, {"bytes": None, "path": "1.png"}], "text": ["a", "b"]}
    table = pa.table(rows, schema=kinds.arrow_schema)
    made(2).save_to_disk(tmp_path / "set")
    path = tmp_path / "set" / "data-00000-of-00001.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    dataset = open_dataset(tmp_path / "set")
    assert aside(dataset) == {"data-00000-of-00001/1.png": "its picture is stored by path only"}
    assert list(records(dataset)) == ["data-00000-of-00001/0.png"]


def test_a_column_that_does_not_exist_is_refused(saved: Path) -> None:
    with pytest.raises(InputError, match="no column 'prompt'; its text columns: caption, alt_text"):
        open_dataset(saved, ReadOptions(caption_columns=("prompt",)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
def test_random_damage_crashes_nothing(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    made(4).save_to_disk(folder / "set")
    path = folder / "set" / "data-00000-of-00001.arrow"
    content = bytearray(path.read_bytes())
    for place, new in edits:
        start = int(place * (len(content) - 1))
        content[start : start + len(new)] = new
    path.write_bytes(content)
    try:
        dataset = SavedToDisk().open(folder / "set", sorted(files(folder / "set")), ReadOptions())
        found = list(dataset.scan())
        assert len(found) == 4 or [one.key for one in found] == [path.name]
        copied(dataset, folder / "copy", Marking({one.key for one in found}))
    except (InputError, OSError):
        return
