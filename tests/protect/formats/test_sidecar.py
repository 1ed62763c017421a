from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.dataset_format import ReadOptions
from protect.formats.record import SetAside
from tests.support.datasets import Marking, contents, copied, draw, hash_of_hashes, make_folder, marked_copy


def _beside(folder: Path, **texts: str) -> Path:
    """One picture `a.png`, with files of the same stem."""
    folder.mkdir(parents=True, exist_ok=True)
    draw(0).save(folder / "a.png")
    for ending, text in texts.items():
        (folder / f"a.{ending}").write_bytes(text.encode())
    return folder


def _aside(folder: Path) -> dict[str, str]:
    return {found.key: found.reason for found in open_dataset(folder).scan() if isinstance(found, SetAside)}


def test_reads_every_caption(tmp_path: Path) -> None:
    dataset = open_dataset(make_folder(tmp_path / "d", 5, "sidecar"))
    records = list(dataset.records())
    assert dataset.format == "sidecar" and len(records) == 5
    assert records[3].captions == {".txt": "box number 3, 盒子, “quoted”"} and records[3].where == records[3].key


@pytest.mark.parametrize(
    ("texts", "captions"),
    [
        ({"TXT": "one"}, {".TXT": "one"}),
        ({"caption": "one", "txt": "two"}, {".caption": "one", ".txt": "two"}),
        ({"txt": "one\r\n\r\n two \r\n"}, {".txt": "one", ".txt:2": "two"}),
        ({"txt": "\ufeffone"}, {".txt": "one"}),
        ({"tags": "1girl, solo", "json": '{"tags": "x"}'}, {".tags": "1girl, solo"}),
        ({"json": '{"caption": " one ", "n": [1]}'}, {".json:caption": "one"}),
        ({"txt": "one", "json": '{"caption": "one"}'}, {".txt": "one", ".json:caption": "one"}),
        ({"txt": " ", "caption": "one"}, {".caption": "one"}),
    ],
)
def test_every_caption_beside_a_picture_is_a_field(
    tmp_path: Path, texts: dict[str, str], captions: dict[str, str]
) -> None:
    folder = _beside(tmp_path / "d", **texts)
    (record,) = open_dataset(folder).records()
    assert dict(record.captions) == captions
    copied(open_dataset(folder), tmp_path / "copy", Marking({"a.png"}))
    (again,) = open_dataset(tmp_path / "copy").records()
    assert dict(again.captions) == {field: f"zork {text}" for field, text in captions.items()}


def test_white_space_and_line_ends_stay(tmp_path: Path) -> None:
    folder = _beside(tmp_path / "d", txt="\ufeff  one \r\n\r\n\ttwo\r\n", caption="three\n")
    copied(open_dataset(folder), tmp_path / "copy", Marking({"a.png"}))
    assert (tmp_path / "copy" / "a.txt").read_bytes() == "\ufeff  zork one \r\n\r\n\tzork two\r\n".encode()
    assert (tmp_path / "copy" / "a.caption").read_bytes() == b"zork three\n"


def test_what_cannot_be_read_is_set_aside_and_copied(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 6, "sidecar")
    (folder / "picture 000.txt").write_text("  \n")
    (folder / "picture 001.txt").write_bytes(b"\xff\xfe\xff")
    (folder / "picture 002.txt").unlink()
    (folder / "picture 003.json").write_text('{"caption": "bro')
    (folder / "picture 004.json").write_text("[" * 100_000)
    assert _aside(folder) == {
        "picture 000.png": "empty caption",
        "picture 001.png": "picture 001.txt is not readable UTF-8",
        "picture 002.png": "no caption",
        "picture 003.png": "picture 003.json is not JSON",
        "picture 004.png": "picture 004.json is not JSON",
    }
    copied(open_dataset(folder), tmp_path / "copy", Marking({f"picture 00{i}.png" for i in range(5)}))
    assert hash_of_hashes(folder) == hash_of_hashes(tmp_path / "copy")


def test_two_pictures_with_one_caption_never_change(tmp_path: Path) -> None:
    """One of them might not be able to carry a mark, and would contradict the caption that both have."""
    folder = make_folder(tmp_path / "d", 3, "sidecar")
    draw(1).save(folder / "picture 001.jpg")
    assert _aside(folder) == {
        "picture 001.jpg": "shares its caption with picture 001.png",
        "picture 001.png": "shares its caption with picture 001.jpg",
    }
    copied(open_dataset(folder), tmp_path / "copy", Marking({"picture 001.jpg", "picture 001.png"}))
    assert hash_of_hashes(folder) == hash_of_hashes(tmp_path / "copy")


def test_a_caption_may_be_left_as_it_is(tmp_path: Path) -> None:
    folder = _beside(tmp_path / "d", txt="one", caption="two")
    dataset = open_dataset(folder, ReadOptions(leave_captions=(".caption",)))
    copied(dataset, tmp_path / "copy", Marking({"a.png"}))
    assert (tmp_path / "copy" / "a.caption").read_text() == "two"
    assert (tmp_path / "copy" / "a.txt").read_text() == "zork one"


def test_a_caption_column_where_captions_are_files_of_text(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 3, "sidecar")
    with pytest.raises(InputError) as refusal:
        open_dataset(folder, ReadOptions(caption_columns=("nope",)))
    what, advice = str(refusal.value).split("\n")
    assert "in files beside the pictures" in what and "no column 'nope'" in what
    assert advice.startswith("Leave --caption-column out")
    (folder / "picture 001.json").write_text('{"caption": "a box", "title": "red"}')
    with pytest.raises(InputError, match=r"a \.json file .* has no column 'nope'; its text columns: caption, title\n"):
        open_dataset(folder, ReadOptions(caption_columns=("nope",)))


def test_json_that_repeats_the_caption_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = _beside(tmp_path / "d", txt="a red boat", json='{"title": "a red boat"}')
    with pytest.raises(InputError, match=r"a.json: 'title' looks like captions.*\n.*--leave-captions title"):
        list(open_dataset(folder).records())


def test_kohya_folders(tmp_path: Path) -> None:
    make_folder(tmp_path / "d" / "10_name one", 4, "sidecar")
    make_folder(tmp_path / "d" / "1_class", 4, "sidecar")
    for path in (tmp_path / "d" / "1_class").glob("*.txt"):
        path.rename(path.with_suffix(".caption"))
    keys = marked_copy(tmp_path / "d", tmp_path / "copy", every=3)
    captions = _kohya_walk(tmp_path / "copy")
    assert set(captions) == {r.key for r in open_dataset(tmp_path / "d").records()}
    assert {key for key, caption in captions.items() if caption.startswith("zork ")} == keys


def _kohya_walk(folder: Path) -> dict[str, str]:
    """Pictures and captions as kohya's scripts find them: `N_name` folders, a file with the caption ending."""
    found = {}
    for part in folder.iterdir():
        repeats, _, _ = part.name.partition("_")
        if part.is_dir() and repeats.isdigit():
            for path in sorted(part.iterdir()):
                if path.suffix in (".png", ".jpg", ".jpeg", ".webp", ".bmp"):
                    texts = [path.with_suffix(ending) for ending in (".caption", ".txt")]
                    caption = next(text for text in texts if text.is_file())
                    found[f"{part.name}/{path.name}"] = caption.read_text(encoding="utf-8").strip().split("\n")[0]
    return found


def test_five_hundred_are_read_back_by_a_kohya_walk(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d" / "10_box", 500, "sidecar").parent
    keys = marked_copy(folder, tmp_path / "copy")
    old, new = _kohya_walk(folder), _kohya_walk(tmp_path / "copy")
    assert len(keys) == 10 and new == {key: f"zork {text}" if key in keys else text for key, text in old.items()}
    changed = {f"{key[:-4]}{ending}" for key in keys for ending in (".png", ".txt")}
    assert hash_of_hashes(folder, changed) == hash_of_hashes(tmp_path / "copy", changed)


def _img2dataset(folder: Path, shards: int = 2, each: int = 30, **settings: int) -> Path:
    """What img2dataset writes with `--output_format files`."""
    for shard in range(shards):
        part = folder / f"{shard:05}"
        part.mkdir(parents=True)
        rows = []
        for i in range(each):
            key = f"{shard:05}{i:04}"
            draw(100 * shard + i, 16).save(part / f"{key}.jpg")
            row = {
                "url": f"https://example.org/{key}",
                "caption": f"a box numbered {key}",
                "key": key,
                "status": "success",
            }
            row |= {"width": 16, "exif": "{}", "sha256": hashlib.sha256((part / f"{key}.jpg").read_bytes()).hexdigest()}
            (part / f"{key}.txt").write_text(str(row["caption"]))
            (part / f"{key}.json").write_text(json.dumps(row, indent=4))
            rows.append(row)
        failed = {"url": "https://example.org/gone", "caption": "gone", "key": "x", "status": "failed_to_download"}
        pq.write_table(pa.Table.from_pylist([*rows, failed]), folder / f"{shard:05}.parquet", **settings)
        (folder / f"{shard:05}_stats.json").write_text(json.dumps({"count": each + 1, "successes": each}))
    return folder


@pytest.mark.parametrize("link", [False, True])
def test_img2dataset_folders_stay_in_step(tmp_path: Path, link: bool) -> None:
    folder = _img2dataset(tmp_path / "d", row_group_size=7)
    keys = {"00000/000000003.jpg", "00001/000010029.jpg"}
    before = contents(folder)
    dataset = open_dataset(folder)
    assert not dataset.left_out and len({shard.name for shard in dataset.shards}) == len(dataset.shards)
    copy = copied(dataset, tmp_path / "copy", Marking(keys), link=link)
    assert contents(folder) == before and list(contents(copy)) == list(before)
    for shard in ("00000", "00001"):
        for row in pq.read_table(copy / f"{shard}.parquet").to_pylist():
            picture = copy / shard / f"{row['key']}.jpg"
            if row["status"] != "success":
                assert row["caption"] == "gone" and row["sha256"] is None
                continue
            beside = json.loads(picture.with_suffix(".json").read_text())
            text = picture.with_suffix(".txt").read_text()
            assert text.startswith("zork ") == (f"{shard}/{picture.name}" in keys)
            assert text == beside["caption"] == row["caption"]
            assert beside["sha256"] == row["sha256"] == hashlib.sha256(picture.read_bytes()).hexdigest()
    old, new = (pq.ParquetFile(path / "00000.parquet") for path in (folder, copy))
    assert old.num_row_groups == new.num_row_groups and old.read_row_group(3).equals(new.read_row_group(3))


def test_img2dataset_tables_that_cannot_follow_are_left_out(tmp_path: Path) -> None:
    folder = _img2dataset(tmp_path / "d")
    (folder / "00000.parquet").write_bytes(b"PAR1 broken")
    table = pq.read_table(folder / "00001.parquet").rename_columns({"key": "number"})
    pq.write_table(table, folder / "00001.parquet")
    pq.write_table(table, folder / "all.parquet")
    dataset = open_dataset(folder)
    assert {one.path for one in dataset.left_out} == {"00000.parquet", "00001.parquet", "all.parquet"}
    copy = copied(dataset, tmp_path / "copy", Marking({"00000/000000003.jpg"}))
    assert not list(copy.glob("*.parquet")) and len(list(copy.rglob("*.jpg"))) == 60


def test_splits_of_folders(tmp_path: Path) -> None:
    for part in ("train", "val", "data/testing"):
        make_folder(tmp_path / "d" / part, 1, "sidecar")
    assert [r.split for r in open_dataset(tmp_path / "d").records()] == ["test", "train", "validation"]


def test_dotted_names(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    for i, stem in enumerate(("a", "a.b", "a.b.c", "猫.x")):
        draw(i).save(folder / f"{stem}.png")
        (folder / f"{stem}.txt").write_text(f"box {i}")
    assert {r.key: r.caption for r in open_dataset(folder).records()} == {
        **{"a.png": "box 0", "a.b.png": "box 1", "a.b.c.png": "box 2", "猫.x.png": "box 3"}
    }
