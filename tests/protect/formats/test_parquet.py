from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset, parquet, parquet_file
from protect.formats.dataset_format import ReadOptions
from protect.formats.parquet import Parquet
from protect.formats.survey import survey
from tests.support.datasets import Marking
from tests.support.shards import aside, copied, files, png, records

NOTHING = Marking(set())
Columns = dict[str, object]


def rows(count: int = 520, start: int = 0) -> Columns:
    numbers = range(start, start + count)
    return {
        "image": [{"bytes": png(i), "path": f"{i:05}.png"} for i in numbers],
        "text": [f"box {i}, 盒子" for i in numbers],
        "captions": [[f"a box {i}", f"one box, {i}"] for i in numbers],
        "sha256": [hashlib.sha256(png(i)).hexdigest() for i in numbers],
        "score": [i / 7 for i in numbers],
        "maybe": [None if i % 3 else i for i in numbers],
    }


def features() -> datasets.Features:
    text, number = datasets.Value("string"), datasets.Value("float64")
    return datasets.Features(
        {
            "image": datasets.Image(),
            "text": text,
            "captions": datasets.List(text),
            "sha256": text,
            "score": number,
            "maybe": number,
        }
    )


@pytest.fixture(autouse=True)
def quiet_library(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """As `datasets` writes them, in row groups of 40."""
    folder = tmp_path / "set" / "data"
    folder.mkdir(parents=True)
    for split, start in (("train", 0), ("test", 520)):
        made = datasets.Dataset.from_dict(rows(520 if split == "train" else 60, start), features=features())
        made.to_parquet(folder / f"{split}-00000-of-00001.parquet", batch_size=40)
    (tmp_path / "set" / "README.md").write_text("boxes")
    return tmp_path / "set"


TRAIN = "data/train-00000-of-00001"


def test_the_copy_reads_back_with_datasets(shards: Path, tmp_path: Path) -> None:
    chosen = {key for key in records(open_dataset(shards)) if key.startswith(TRAIN) and int(key[-9:-4]) % 50 == 0}
    copy = copied(open_dataset(shards), tmp_path / "copy", Marking(chosen))
    loaded = datasets.load_dataset(str(copy), cache_dir=str(tmp_path / "cache"))
    original = datasets.load_dataset(str(shards), cache_dir=str(tmp_path / "cache"))
    assert {split: len(part) for split, part in loaded.items()} == {"train": 520, "test": 60}
    assert len(chosen) == 11 and loaded["train"].features == original["train"].features == features()
    plain = datasets.Image(decode=False)
    before, after = (one["train"].cast_column("image", plain) for one in (original, loaded))
    for i, (old, new) in enumerate(zip(before, after, strict=True)):
        if f"{TRAIN}/{i:05}.png" not in chosen:
            assert new == old
            continue
        picture = png(i) + b"marked"
        assert new == old | {
            "image": {"bytes": picture, "path": f"{i:05}.png"},
            "text": f"zork box {i}, 盒子",
            "captions": [f"zork a box {i}", f"zork one box, {i}"],
            "sha256": hashlib.sha256(picture).hexdigest(),
        }
    assert loaded["test"].to_dict() == original["test"].to_dict()


def test_pandas_reads_the_copy(shards: Path, tmp_path: Path) -> None:
    copy = copied(open_dataset(shards), tmp_path / "copy", Marking({f"{TRAIN}/00077.png"}))
    before, after = (pandas.read_parquet(folder / f"{TRAIN}.parquet") for folder in (shards, copy))
    assert after.loc[77, "text"] == "zork box 77, 盒子"
    changed = [i for i in range(520) if after.loc[i, "image"] != before.loc[i, "image"]]
    assert changed == [77]
    assert (
        after.drop(columns=["image", "captions"]).drop(77).equals(before.drop(columns=["image", "captions"]).drop(77))
    )


def facts(path: Path) -> tuple[object, ...]:
    """What of a file stays when it is written anew."""
    file = pq.ParquetFile(path)
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    columns = [group.column(i) for group in groups for i in range(group.num_columns)]
    return (
        file.schema,
        file.schema_arrow.metadata,
        {key: value for key, value in (file.metadata.metadata or {}).items() if key != b"ARROW:schema"},
        [group.num_rows for group in groups],
        [(c.compression, c.encodings, c.has_column_index, c.has_offset_index, c.is_stats_set) for c in columns],
        file.metadata.format_version,
    )


def chunks(path: Path) -> list[list[bytes]]:
    """The bytes of every column of every row group."""
    file, data = pq.ParquetFile(path), path.read_bytes()
    found = []
    for g in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(g)
        parts = []
        for c in range(group.num_columns):
            column = group.column(c)
            start = column.dictionary_page_offset or column.data_page_offset
            parts.append(data[start : start + column.total_compressed_size])
        found.append(parts)
    return found


def test_row_groups_without_changes_keep_their_bytes(shards: Path, tmp_path: Path) -> None:
    """pyarrow writes them anew, and with the same program the same comes out."""
    copy = copied(open_dataset(shards), tmp_path / "copy", Marking({f"{TRAIN}/00090.png"}))
    before, after = shards / f"{TRAIN}.parquet", copy / f"{TRAIN}.parquet"
    assert facts(before) == facts(after)
    differing = [i for i, pair in enumerate(zip(chunks(before), chunks(after), strict=True)) if pair[0] != pair[1]]
    assert differing == [2]


WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "plain": lambda table, path: pq.write_table(table, path, row_group_size=100),
    "old": lambda table, path: pq.write_table(table, path, version="1.0", store_schema=False, compression="gzip"),
    "zstd": lambda table, path: pq.write_table(
        table, path, compression={"image.bytes": "none", "text": "zstd", "sha256": "brotli"}, use_dictionary=False
    ),
    "delta": lambda table, path: pq.write_table(
        table, path, use_dictionary=["captions.list.element"], column_encoding={"text": "DELTA_BYTE_ARRAY"}
    ),
    "lists": lambda table, path: pq.write_table(table, path, use_compliant_nested_type=False),
    "pandas": lambda table, path: table.to_pandas().set_index("score").to_parquet(path, row_group_size=50),
    "large": lambda table, path: pq.write_table(
        table.set_column(1, "text", table["text"].cast(pa.large_string())), path, write_statistics=False
    ),
    "dictionary": lambda table, path: pq.write_table(
        table.set_column(1, "text", table["text"].combine_chunks().dictionary_encode()), path, write_page_index=True
    ),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_files_of_many_writers_keep_schema_metadata_and_encodings(tmp_path: Path, writer: str) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    table = pa.table(rows(), schema=features().arrow_schema)
    WRITERS[writer](table, folder / "a.parquet")
    copy = copied(open_dataset(folder), tmp_path / "copy", Marking({"a/00003.png", "a/00519.png"}))
    assert facts(folder / "a.parquet") == facts(copy / "a.parquet")
    before, after = (pq.read_table(one / "a.parquet") for one in (folder, copy))
    assert after.schema.equals(before.schema, check_metadata=True)
    assert after["text"].to_pylist()[3] == "zork box 3, 盒子"
    kept = [i for i in range(520) if i not in (3, 519)]
    assert after.take(kept).to_pylist() == before.take(kept).to_pylist()


def test_files_without_changes_are_copies_or_links(shards: Path, tmp_path: Path) -> None:
    marking = Marking({f"{TRAIN}/00001.png"})
    copy = copied(open_dataset(shards), tmp_path / "copy", marking)
    linked = copied(open_dataset(shards), tmp_path / "linked", marking, link=True)
    test = "data/test-00000-of-00001.parquet"
    assert (copy / test).read_bytes() == (shards / test).read_bytes()
    assert (linked / test).samefile(shards / test)
    assert not (linked / f"{TRAIN}.parquet").samefile(shards / f"{TRAIN}.parquet")
    assert (copy / f"{TRAIN}.parquet").stat().st_mtime_ns == (shards / f"{TRAIN}.parquet").stat().st_mtime_ns
    assert files(copy) == files(linked)


def test_two_runs_write_the_same_bytes(shards: Path, tmp_path: Path) -> None:
    marking = Marking({f"{TRAIN}/00001.png", f"{TRAIN}/00400.png"})
    first, second = (copied(open_dataset(shards), tmp_path / name, marking) for name in ("a", "b"))
    assert files(first) == files(second) != files(shards)


def write(path: Path, **columns: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def pictures(paths: list[str | None]) -> list[dict[str, object]]:
    return [{"bytes": png(i), "path": path} for i, path in enumerate(paths)]


class TestKeys:
    def test_paths_that_differ_are_keys(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", image=pictures(["x/1.png", "猫.png"]), text=["a", "b"])
        assert list(records(open_dataset(tmp_path / "set"))) == ["a/x/1.png", "a/猫.png"]

    @pytest.mark.parametrize("paths", [["1.png", "1.png"], ["1.png", None], ["", "1.png"], ["e\u0301", "\u00e9"]])
    def test_else_rows_are(self, tmp_path: Path, paths: list[str | None]) -> None:
        write(tmp_path / "set" / "a.parquet", image=pictures(paths), text=["a", "b"])
        assert list(records(open_dataset(tmp_path / "set"))) == ["a/0", "a/1"]

    def test_files_with_the_same_paths_do_not_collide(self, tmp_path: Path) -> None:
        for name in ("train/0.parquet", "dev/0.parquet"):
            write(tmp_path / "set" / name, image=pictures(["1.png", "2.png"]), text=["a", "b"])
        dataset = open_dataset(tmp_path / "set")
        assert survey(dataset).splits == {"validation": 2, "train": 2}

    def test_a_single_file_may_be_renamed(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.parquet", image=pictures(["1.png", "2.png"]), text=["a", "b"])
        assert list(records(open_dataset(path))) == ["1.png", "2.png"]
        assert list(records(open_dataset(path.rename(tmp_path / "b.parquet")))) == ["1.png", "2.png"]

    def test_a_column_tells_the_split(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", image=pictures(["1", "2"]), text=["a", "b"], split=["train", "val"])
        assert survey(open_dataset(tmp_path / "set")).splits == {"train": 1, "validation": 1}


class TestPictures:
    def test_bytes_alone_are_a_picture(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", jpg=[png(0), png(1)], text=["a", "b"], vector=[b"1234", b"5678"])
        dataset = open_dataset(tmp_path / "set")
        assert [r.read() for r in dataset.records()] == [png(0), png(1)]
        copy = copied(dataset, tmp_path / "copy", Marking({"a/1"}))
        assert pq.read_table(copy / "a.parquet")["jpg"].to_pylist() == [png(0), png(1) + b"marked"]

    @pytest.mark.parametrize(("name", "first"), [("image", b"damaged"), ("shot", png(0)), ("shot", None)])
    def test_a_damaged_or_missing_first_picture_hides_no_column(
        self, tmp_path: Path, name: str, first: bytes | None
    ) -> None:
        write(tmp_path / "set" / "a.parquet", **{name: [first, png(1)], "text": ["a", "b"]})
        assert list(open_dataset(tmp_path / "set").records())[-1].read() == png(1)

    def test_sounds_are_no_pictures(self, tmp_path: Path) -> None:
        told = json.dumps({"info": {"features": {"audio": {"_type": "Audio"}, "image": {"_type": "Image"}}}})
        columns = {"audio": [{"bytes": b"RIFF", "path": "0.wav"}], "image": pictures(["0.png"]), "text": ["a"]}
        table = pa.table(columns).replace_schema_metadata({"huggingface": told})
        (tmp_path / "set").mkdir()
        pq.write_table(table, tmp_path / "set" / "a.parquet")
        assert [r.read() for r in open_dataset(tmp_path / "set").records()] == [png(0)]

    @pytest.mark.parametrize("statistics", [True, False])
    def test_pictures_stored_by_path_are_set_aside(self, tmp_path: Path, statistics: bool) -> None:
        (tmp_path / "set").mkdir()
        image = [{"bytes": None, "path": "0.png"}, {"bytes": png(1), "path": "1.png"}, None]
        table = pa.table({"image": image, "text": ["a", "b", "c"]})
        pq.write_table(table, tmp_path / "set" / "a.parquet", write_statistics=statistics)
        dataset = open_dataset(tmp_path / "set")
        assert aside(dataset) == {"a/0": "its picture is stored by path only", "a/2": "no picture"}
        assert [r.read() for r in dataset.records()] == [png(1)]
        copy = copied(dataset, tmp_path / "copy", Marking({"a/0", "a/1", "a/2"}))
        new = [image[0], {"bytes": png(1) + b"marked", "path": "1.png"}, None]
        assert pq.read_table(copy / "a.parquet")["image"].to_pylist() == new

    def test_other_columns_of_pictures_must_be_named(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", mask=[png(9)], image=[png(0)], text=["a"])
        with pytest.raises(InputError, match="in the columns mask, image; only image would be marked"):
            open_dataset(tmp_path / "set")
        options = ReadOptions(leave_captions=("mask",))
        assert [r.read() for r in open_dataset(tmp_path / "set", options).records()] == [png(0)]
        assert survey(open_dataset(tmp_path / "set", options)).samples == 1  # such a column is no misspelt field
        with pytest.raises(InputError, match=r"--leave-captions tetx names no field of .*: text, mask\n"):
            survey(open_dataset(tmp_path / "set", ReadOptions(leave_captions=("mask", "tetx"))))

    def test_read_from_any_thread_in_any_order(self, shards: Path) -> None:
        found = list(open_dataset(shards).records())
        order = found[::-9] + found[::31] + found[100:140]
        with ThreadPoolExecutor(4) as pool:
            read = list(pool.map(lambda record: record.read(), order))
        assert read == [png(int(r.key[-9:-4])) for r in order]

    def test_large_row_groups_are_read_in_pieces(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(parquet_file, "PIECE", 4000)
        write(tmp_path / "set" / "a.parquet", **rows(200))
        found = list(open_dataset(tmp_path / "set").records())
        assert [found[i].read() for i in (150, 151, 3, 199, 0)] == [png(i) for i in (150, 151, 3, 199, 0)]
        copy = copied(open_dataset(tmp_path / "set"), tmp_path / "copy", Marking({found[150].key}))
        image = pq.read_table(copy / "a.parquet")["image"].to_pylist()
        assert [i for i in range(200) if image[i]["bytes"] != png(i)] == [150]

    def test_a_scan_reads_no_picture(self, shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        dataset = open_dataset(shards)
        read: list[object] = []
        original = parquet.pieces
        monkeypatch.setattr(parquet, "pieces", lambda *args: (read.append(args[2]), original(*args))[1])
        assert survey(dataset).samples == 580
        assert read and all("image.path" in columns and "image.bytes" not in columns for columns in read)  # type: ignore[operator]


class TestCaptions:
    def test_a_column_that_does_not_exist_is_refused_with_those_that_do(self, shards: Path) -> None:
        with pytest.raises(InputError, match="no column 'prompt'; its text columns: text, captions, sha256"):
            open_dataset(shards, ReadOptions(caption_columns=("prompt",)))

    def test_captions_left_alone_must_be_named(self, shards: Path) -> None:
        with pytest.raises(InputError, match="'captions' looks like captions too"):
            open_dataset(shards, ReadOptions(caption_columns=("text",)))
        options = ReadOptions(caption_columns=("text",), leave_captions=("captions",))
        assert next(open_dataset(shards, options).records()).captions == {"text": "box 520, 盒子"}

    def test_a_row_that_repeats_its_caption_elsewhere_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", image=[png(0), png(1)], text=["a cat", "a dog"], title=["x", "a dog"])
        with pytest.raises(InputError, match="'title' looks like captions too"):
            survey(open_dataset(tmp_path / "set"))

    def test_white_space_and_missing_captions(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", image=[png(0), png(1), png(2)], text=[" a\n", None, ""])
        dataset = open_dataset(tmp_path / "set")
        assert aside(dataset) == {"a/1": "no caption", "a/2": "empty caption"}
        copy = copied(dataset, tmp_path / "copy", Marking({"a/0", "a/1", "a/2"}))
        assert pq.read_table(copy / "a.parquet")["text"].to_pylist() == [" zork a\n", None, ""]

    def test_structs_inside_of_lists(self, tmp_path: Path) -> None:
        said = [[{"raw": "a cat", "id": 1}, {"raw": "one cat", "id": 2}], [{"raw": "a dog", "id": 3}]]
        write(tmp_path / "set" / "a.parquet", image=[png(0), png(1)], sentences=said)
        copy = copied(open_dataset(tmp_path / "set"), tmp_path / "copy", Marking({"a/0"}))
        new = [[{"raw": "zork a cat", "id": 1}, {"raw": "zork one cat", "id": 2}], said[1]]
        assert pq.read_table(copy / "a.parquet")["sentences"].to_pylist() == new

    def test_classes_are_named(self, tmp_path: Path) -> None:
        names = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
        made = datasets.Dataset.from_dict({"image": pictures(["1", "2"]), "label": [1, 0]}, features=names)
        (tmp_path / "set").mkdir()
        made.to_parquet(tmp_path / "set" / "a.parquet")
        dataset = open_dataset(tmp_path / "set")
        assert dataset.for_classifiers
        assert [r.captions for r in dataset.records()] == [{"label": "dog"}, {"label": "cat"}]
        with pytest.raises(InputError, match="Use --alignment label"):
            copied(dataset, tmp_path / "copy", Marking({"a/1"}))

    def test_no_text_at_all_is_refused(self, tmp_path: Path) -> None:
        write(tmp_path / "set" / "a.parquet", image=[png(0)], score=[1.0])
        with pytest.raises(InputError, match="no column of text"):
            open_dataset(tmp_path / "set")


def damaged(shards: Path, place: Callable[[bytes], slice]) -> bytes:
    """Overwrite part of the training file."""
    path = shards / f"{TRAIN}.parquet"
    content = bytearray(path.read_bytes())
    where = place(bytes(content))
    content[where] = b"\xff" * len(content[where])
    path.write_bytes(content)
    return bytes(content)


class TestDamage:
    def test_a_damaged_page_of_captions_sets_the_file_aside_and_copies_it(self, shards: Path, tmp_path: Path) -> None:
        column = pq.ParquetFile(shards / f"{TRAIN}.parquet").metadata.row_group(7).column(2)
        start = column.dictionary_page_offset
        content = damaged(shards, lambda _: slice(start, start + 40))
        dataset = open_dataset(shards)
        assert survey(dataset).splits == {"test": 60}
        [(key, reason)] = aside(dataset).items()
        assert key == f"{TRAIN}.parquet" and reason.startswith("cannot be read: ")
        copy = copied(dataset, tmp_path / "copy", Marking({f"{TRAIN}/00001.png"}))
        assert (copy / f"{TRAIN}.parquet").read_bytes() == content

    @pytest.mark.parametrize("keep", [0, 100, 4000])
    def test_a_truncated_file_is_set_aside_and_copied(self, shards: Path, tmp_path: Path, keep: int) -> None:
        path = shards / f"{TRAIN}.parquet"
        path.write_bytes(path.read_bytes()[:keep])
        dataset = open_dataset(shards)
        assert list(aside(dataset)) == [f"{TRAIN}.parquet"] and survey(dataset).samples == 60
        copy = copied(dataset, tmp_path / "copy", NOTHING)
        assert (copy / f"{TRAIN}.parquet").stat().st_size == keep

    def test_a_damaged_page_of_pictures_is_told_when_it_is_read(self, shards: Path, tmp_path: Path) -> None:
        column = pq.ParquetFile(shards / f"{TRAIN}.parquet").metadata.row_group(3).column(0)
        damaged(shards, lambda _: slice(column.data_page_offset, column.data_page_offset + 30))
        dataset = open_dataset(shards)
        found = records(dataset)
        with pytest.raises(OSError, match=r"train-00000-of-00001\.parquet cannot be read"):
            found[f"{TRAIN}/00125.png"].read()
        assert found[f"{TRAIN}/00100.png"].read() == png(100)
        with pytest.raises(OSError, match="group 3 of rows cannot be read"):
            copied(dataset, tmp_path / "copy", Marking({f"{TRAIN}/00001.png"}))
        assert not (tmp_path / "copy" / "data" / "train-00000-of-00001.parquet").exists()
        assert not list((tmp_path / "copy").rglob(".*"))  # nothing half-written is left

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), min_size=1, max_size=3))
    def test_random_damage_of_pages_crashes_nothing(
        self, tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, bytes]]
    ) -> None:
        folder = tmp_path_factory.mktemp("damaged")
        path = write(folder / "set" / "a.parquet", image=pictures(["1", "2", "3"]), text=["a cat", "a dog", "a cow"])
        content = bytearray(path.read_bytes())
        # The footer is left out: pyarrow ends the whole program when a column's type there is damaged.
        pages = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
        for place, new in edits:
            start = int(place * (pages - len(new)))
            content[start : start + len(new)] = new
        path.write_bytes(content)
        try:
            dataset = Parquet().open(folder / "set", ["a.parquet"], ReadOptions())
            found = list(dataset.scan())
            whole = [one.key for one in found] == ["a.parquet"] or [one.path for one in dataset.left_out] == [
                "a.parquet"
            ]
            assert len(found) == 3 or whole
            copied(dataset, folder / "copy", Marking({one.key for one in found}))
        except (InputError, OSError):
            return


def test_without_pyarrow_the_line_to_install_it_is_given(shards: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(InputError, match=r'pip install "tracemark\[parquet\]"'):
        open_dataset(shards)


def test_a_type_that_would_not_come_back_the_same_sets_the_file_aside(tmp_path: Path) -> None:
    path = write(tmp_path / "set" / "a.parquet", image=[png(0)], text=["a cat"])
    file = parquet_file.opened(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_file, "_same_types", lambda *_: False)
        assert "with other types" in aside(open_dataset(tmp_path / "set"))["a.parquet"]
        with pytest.raises(parquet_file.StyleError):
            parquet_file.style(file)


def test_tables_without_pictures_are_left_out_and_listed(shards: Path, tmp_path: Path) -> None:
    write(shards / "vectors.parquet", key=["a"], vector=[[1.0]])
    (shards / "captions.jsonl").write_text(json.dumps({"caption": "box 1"}))
    dataset = open_dataset(shards)
    assert {one.path for one in dataset.left_out} == {"vectors.parquet", "captions.jsonl"}
    copy = copied(dataset, tmp_path / "copy", NOTHING)
    assert "README.md" in files(copy) and len(files(copy)) == 3
