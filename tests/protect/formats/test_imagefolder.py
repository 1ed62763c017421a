from __future__ import annotations

import codecs
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from protect.errors import InputError
from protect.formats import jsonl, open_dataset
from protect.formats.dataset_format import Dataset, ReadOptions
from protect.formats.record import SetAside
from protect.formats.survey import survey
from tests.support.datasets import Marking, contents, copied, draw, hash_of_hashes, make_folder, marked_copy

LAYOUTS = ["metadata.jsonl", "metadata.csv", "metadata.parquet"]


def _folder(folder: Path, count: int, layout: str) -> Path:
    if layout != "metadata.parquet":
        return make_folder(folder, count, layout)
    make_folder(folder, count)
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    (folder / "metadata.jsonl").unlink()
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"kept": "yes"})
    pq.write_table(table, folder / layout, row_group_size=20, compression={"text": "zstd", "file_name": "gzip"})
    return folder


def _aside(dataset: Dataset) -> dict[str, str]:
    return {found.key: found.reason for found in dataset.scan() if isinstance(found, SetAside)}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_caption(tmp_path: Path, layout: str) -> None:
    dataset = open_dataset(_folder(tmp_path / "d", 5, layout))
    records = list(dataset.records())
    assert dataset.format == "imagefolder" and not _aside(dataset) and not dataset.left_out
    assert [r.key for r in records] == [f"picture {i:03}.png" for i in range(5)]
    assert records[3].captions == {"text": "box number 3, 盒子, “quoted”"}
    assert records[3].where.startswith(f"{layout}, ") and records[3].split == "train"
    assert records[3].read() == (tmp_path / "d" / "picture 003.png").read_bytes()
    assert [r.key for r in dataset.records()] == [r.key for r in records]
    assert dataset.size == sum(len(data) for data in contents(tmp_path / "d").values())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("link", [False, True])
def test_copies_change_only_what_they_must(tmp_path: Path, layout: str, link: bool) -> None:
    folder = _folder(tmp_path / "d", 60, layout)
    (folder / "README.md").write_text("kept as it is")
    (folder / "more").mkdir()
    (folder / "more" / "licence").write_text("too")
    before = contents(folder)
    keys = {"picture 003.png", "picture 031.png"}
    copied(open_dataset(folder), tmp_path / "copy", Marking(keys), link=link)
    after = contents(tmp_path / "copy")
    assert contents(folder) == before and list(after) == list(before)
    assert {name for name in before if before[name] != after[name]} == keys | {layout}
    captions = {r.key: r.caption for r in open_dataset(folder).records()}
    wanted = {key: ("zork " if key in keys else "") + text for key, text in captions.items()}
    assert {r.key: r.caption for r in open_dataset(tmp_path / "copy").records()} == wanted
    for name in before:
        ours, theirs = (folder / name).stat(), (tmp_path / "copy" / name).stat()
        assert (ours.st_mtime_ns, ours.st_mode) == (theirs.st_mtime_ns, theirs.st_mode)
    linked = sum((folder / name).samefile(tmp_path / "copy" / name) for name in before)
    assert linked == (len(before) - 3 if link else 0)


def test_tables_without_a_carrier_are_copied_whole(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        folder = _folder(tmp_path / layout / "d", 30, layout)
        copied(open_dataset(folder), tmp_path / layout / "copy", Marking(set()))
        assert hash_of_hashes(folder) == hash_of_hashes(tmp_path / layout / "copy")


def test_other_lines_keep_their_bytes(tmp_path: Path) -> None:
    for layout in LAYOUTS[:2]:
        folder = _folder(tmp_path / layout / "d", 20, layout)
        marked_copy(folder, tmp_path / layout / "copy", every=20)
        old, new = (
            path.joinpath(layout).read_bytes().splitlines(True) for path in (folder, tmp_path / layout / "copy")
        )
        assert len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1
        assert all(b in (a, a.replace(b"box", b"zork box", 1)) for a, b in zip(old, new, strict=True))


def test_parquet_keeps_its_form(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "d", 50, "metadata.parquet")
    keys = marked_copy(folder, tmp_path / "copy", every=25)
    old, new = (pq.ParquetFile(path / "metadata.parquet") for path in (folder, tmp_path / "copy"))
    assert new.schema_arrow.equals(old.schema_arrow, check_metadata=True)
    assert new.num_row_groups == old.num_row_groups == 3
    for i in range(3):
        ours, theirs = old.metadata.row_group(i), new.metadata.row_group(i)
        assert ours.num_rows == theirs.num_rows
        assert [ours.column(c).compression for c in range(3)] == [theirs.column(c).compression for c in range(3)]
    assert new.read_row_group(2).equals(old.read_row_group(2)) == ("picture 040.png" not in keys)
    assert new.read().drop_columns("text").equals(old.read().drop_columns("text"))


def test_tables_of_subfolders_and_of_splits(tmp_path: Path) -> None:
    make_folder(tmp_path / "d" / "train", 3)
    make_folder(tmp_path / "d" / "data" / "testing", 2, "metadata.csv")
    folder = make_folder(tmp_path / "d" / "x", 2)
    for split in ("val", "train"):
        shutil.copy(folder / "metadata.jsonl", folder / f"metadata_{split}.jsonl")
        (folder / "picture 000.png").rename(folder / f"{split}.png")
        (folder / f"metadata_{split}.jsonl").write_text(json.dumps({"file_name": f"{split}.png", "text": "a box"}))
        make_folder(tmp_path / "more", 1)
        (tmp_path / "more" / "picture 000.png").rename(folder / "picture 000.png")
        shutil.rmtree(tmp_path / "more")
    (folder / "metadata.jsonl").unlink()
    assert [(r.key, r.split) for r in open_dataset(tmp_path / "d").records()] == [
        *((f"data/testing/picture 00{i}.png", "test") for i in range(2)),
        *((f"train/picture 00{i}.png", "train") for i in range(3)),
        *(("x/train.png", "train"), ("x/val.png", "validation")),
    ]


def test_a_column_may_name_the_split(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 4)
    names = ["train", "val", "restval", " "]
    rows = [{"file_name": f"picture 00{i}.png", "text": "box", "split": name} for i, name in enumerate(names)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [r.split for r in open_dataset(folder).records()] == ["train", "validation", "restval", "train"]
    assert survey(open_dataset(folder)).changeable == 2


def test_what_takes_no_part_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 3)
    draw(9).save(folder / "extra.png")
    rows = ['{"file_name": "absent.png", "text": "gone"}', '{"file_name": "extra.JPG", "text": "other ending"}']
    rows += ['{"file_name": "./metadata.jsonl", "text": "no picture"}']
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    lines[0] = '{"file_name": "picture 000.png", "text": "  "}'
    lines[1] = r'{"file_name": "picture 001.png", "text": "half \ud800"}'
    (folder / "metadata.jsonl").write_text("\n".join((*lines, *rows)))
    reasons = _aside(open_dataset(folder))
    assert reasons == {
        "picture 000.png": "empty caption",
        "picture 001.png": "caption is not valid Unicode",
        "absent.png": "caption for an absent or unknown picture file",
        "extra.JPG": "caption for an absent or unknown picture file",
        "metadata.jsonl": "caption for an absent or unknown picture file",
        "extra.png": "no caption",
    }


def test_counts_add_up(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 20)
    lines = (folder / "metadata.jsonl").read_text().splitlines()
    (folder / "metadata.jsonl").write_text("\n".join(lines[5:]))
    found = survey(open_dataset(folder))
    assert (found.samples, found.set_aside) == (15, 5)
    marked_copy(folder, tmp_path / "copy", every=5)
    again = survey(open_dataset(tmp_path / "copy"))
    assert (again.samples, again.set_aside, again.splits) == (found.samples, found.set_aside, found.splits)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{broken", "line 3: not JSON"),
        ("[" * 100_000, "line 3: not JSON"),
        ('{"n": ' + "9" * 5000 + "}", "line 3: not JSON"),
        ('{"file_name": "x.png", "text": "a", "text": "b"}', "line 3: not JSON .*twice"),
        ("[1]", "line 3: not a JSON object"),
        ('{"text": "no name"}', "line 3: no file_name"),
        ('{"file_name": "../../etc/passwd", "text": "out"}', "line 3: '../../etc/passwd' leaves the dataset"),
        ('{"file_name": "/etc/passwd.png", "text": "out"}', "leaves the dataset"),
        ('{"file_name": "a/../../x.png", "text": "out"}', "leaves the dataset"),
    ],
)
def test_bad_rows_are_refused_with_their_place(tmp_path: Path, line: str, message: str) -> None:
    folder = make_folder(tmp_path / "d", 2)
    with (folder / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=message) as refusal:
        list(open_dataset(folder).records())
    assert str(refusal.value).count("\n") == 1


def test_pictures_listed_twice_are_refused_with_both_places(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 4)
    with (folder / "metadata.jsonl").open("a") as file:
        file.write('{"file_name": "./picture 001.png", "text": "again"}\n')
    with pytest.raises(InputError, match=r"'picture 001.png': metadata.jsonl, line 2 and metadata.jsonl, line 5"):
        survey(open_dataset(folder))


def test_bad_csv(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2, "metadata.csv")
    for text, message in [
        (b"name,text\na,b\n", r"no file_name column \(has name, text\)"),
        (b"file_name,text,text\npicture 000.png,a,b\n", "two columns called 'text'"),
        (b"file_name,text\npicture 000.png,a,b,c\n", "line 2: 4 fields, but 2 columns"),
        (b"file_name,text\npicture 000.png,\xff\n", "line 2: not UTF-8 at byte 16"),
        (b'file_name,text\npicture 000.png,"' + b"x" * (1 << 25), "field larger than"),
    ]:
        (folder / "metadata.csv").write_bytes(text)
        with pytest.raises(InputError, match=message) as refusal:
            open_dataset(folder)
        assert str(refusal.value).count("\n") == 1


def test_bad_encodings_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    with (folder / "metadata.jsonl").open("ab") as file:
        file.write(b'{"file_name": "picture 000.png", "text": "\xff"}')
    with pytest.raises(InputError, match="line 3: not UTF-8"):
        open_dataset(folder)


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "d", 40, "metadata.parquet")
    data = (folder / "metadata.parquet").read_bytes()
    (folder / "metadata.parquet").write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"metadata.parquet cannot be used"):
        open_dataset(folder)


def test_two_tables_of_one_name_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    make_folder(tmp_path / "other", 2, "metadata.csv")
    shutil.copy(tmp_path / "other" / "metadata.csv", folder)
    with pytest.raises(InputError, match=r"kept in metadata.csv and in metadata.jsonl"):
        open_dataset(folder)


def test_hashes_and_sizes_beside_captions_follow_the_picture(tmp_path: Path) -> None:
    import hashlib

    folder = make_folder(tmp_path / "d", 4)
    rows = []
    for i in range(4):
        data = (folder / f"picture 00{i}.png").read_bytes()
        more = {"sha256": hashlib.sha256(data).hexdigest(), "meta": {"MD5": hashlib.md5(data).hexdigest().upper()}}
        more |= {"size": len(data), "url_hash": hashlib.md5(b"%d" % i).hexdigest(), "max_size": 7}
        rows.append({"file_name": f"picture 00{i}.png", "text": f"box {i}", **more})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    marked_copy(folder, tmp_path / "copy", every=3)
    for old, line in zip(rows, (tmp_path / "copy" / "metadata.jsonl").read_text().splitlines(), strict=True):
        new, data = json.loads(line), (tmp_path / "copy" / str(old["file_name"])).read_bytes()
        assert new["sha256"] == hashlib.sha256(data).hexdigest() and new["size"] == len(data)
        assert new["meta"]["MD5"] == hashlib.md5(data).hexdigest().upper()
        assert (new["url_hash"], new["max_size"]) == (old["url_hash"], 7)


def test_several_picture_columns(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    row = {"mask_file_name": "picture 001.png", "image_file_name": "picture 000.png", "text": "box"}
    (folder / "metadata.jsonl").write_text(json.dumps(row))
    assert [r.key for r in open_dataset(folder).records()] == ["picture 000.png"]


def test_dotted_and_chinese_names(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 0)
    names = ["a.b.c.png", "a.b.png", "a.png", "猫/狗.png", "猫.png"]
    (folder / "猫").mkdir()
    for i, name in enumerate(names):
        draw(i).save(folder / name)
    rows = [json.dumps({"file_name": name, "text": f"box {i}"}) for i, name in enumerate(names)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    assert [r.key for r in open_dataset(folder).records()] == names
    copied(open_dataset(folder), tmp_path / "copy", Marking({"a.b.png", "猫/狗.png"}))
    again = {r.key: r.caption for r in open_dataset(tmp_path / "copy").records()}
    assert [key for key, caption in again.items() if caption.startswith("zork")] == ["a.b.png", "猫/狗.png"]


def test_odd_endings_are_pictures(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 0)
    names = ["a.jfif", "b.AVIF", "c.heic", "d.gif", "e.jxl"]
    for name in names:
        (folder / name).write_bytes(b"not looked at")
    rows = [json.dumps({"file_name": name, "text": f"box {i}"}) for i, name in enumerate(names)]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    assert [r.key for r in open_dataset(folder).records()] == names


def test_only_and_exclude_and_split_leave_the_copy_whole(tmp_path: Path) -> None:
    make_folder(tmp_path / "d" / "train", 4)
    make_folder(tmp_path / "d" / "test", 4)
    count = {
        (): 4,
        ("only", ("*/picture 00[01].png",)): 2,
        ("exclude", ("train/*",)): 0,
        ("splits", ("all",)): 8,
        ("splits", ("testing",)): 4,
    }
    for option, changeable in count.items():
        options = ReadOptions(**{option[0]: option[1]}) if option else ReadOptions()  # type: ignore[arg-type]
        found = survey(open_dataset(tmp_path / "d", options))
        assert (found.samples, found.changeable) == (8, changeable)
        assert found.splits == {"test": 4, "train": 4}


def test_a_long_table_in_parts_is_read_and_written_as_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(tmp_path / "d", 60)
    lines = (source / "metadata.jsonl").read_bytes().splitlines(keepends=True)
    (source / "metadata.jsonl").write_bytes(codecs.BOM_UTF8 + b"".join([*lines[:20], b"\n", *lines[20:]])[:-1])
    whole = open_dataset(source)
    keys = {record.key for i, record in enumerate(whole.records()) if i % 7 == 0}
    copied(whole, tmp_path / "whole", Marking(keys))

    monkeypatch.setattr(jsonl, "_PART", 500)
    parts = open_dataset(source)
    assert len(parts.shards) > len(whole.shards) + 5 and sum(s.size for s in parts.shards) == whole.size
    assert [(r.key, r.where) for r in parts.records()] == [(r.key, r.where) for r in whole.records()]
    copied(parts, tmp_path / "parts", Marking(keys))
    assert not all(shard.is_there(tmp_path / "whole") for shard in parts.shards)
    parts.finish(tmp_path / "parts")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert not all(shard.is_there(tmp_path / "parts") for shard in parts.shards)


def test_a_table_that_changes_while_it_is_read_is_not_written(tmp_path: Path) -> None:
    source = make_folder(tmp_path / "d", 10)
    dataset = open_dataset(source)
    table, run = dataset.shards
    assert not table.changed() and not run.changed()
    (source / "metadata.jsonl").write_bytes((source / "metadata.jsonl").read_bytes() + b"\n")
    (source / "picture 003.png").unlink()
    assert table.changed() and run.changed()
    with pytest.raises(InputError, match="changed since it was read"):
        copied(dataset, tmp_path / "copy", Marking(set()))
    assert not list((tmp_path / "copy").iterdir())
