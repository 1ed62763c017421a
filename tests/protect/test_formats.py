from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset
from tests.protect.conftest import draw, make_folder

LAYOUTS = ["metadata.jsonl", "metadata.csv", "sidecar"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reads_every_caption(tmp_path: Path, layout: str) -> None:
    folder = make_folder(tmp_path / "d", 5, layout)
    found = open_dataset(folder)
    listing = found.listing
    assert found.layout.name == layout
    assert [s.key for s in listing.samples] == [f"picture {i:03}.png" for i in range(5)]
    assert listing.samples[3].caption == "box number 3, 盒子, “quoted”" and not listing.set_aside


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rewrites_only_what_changes(tmp_path: Path, layout: str) -> None:
    folder = make_folder(tmp_path / "d", 5, layout)
    copy = make_folder(tmp_path / "copy", 5, layout)
    caption = 'zork 新 "a, b"'
    before = {s.key: s.caption for s in open_dataset(folder).listing.samples}
    _rewrite(folder, copy, {"picture 002.png": caption})
    again = {s.key: s.caption for s in open_dataset(copy).listing.samples}
    assert again == before | {"picture 002.png": caption}
    name = "picture 002.txt" if layout == "sidecar" else layout
    old, new = (f.joinpath(name).read_bytes().splitlines() for f in (folder, copy))
    assert len(old) == len(new) and sum(a != b for a, b in zip(old, new, strict=True)) == 1


def _rewrite(folder: Path, copy: Path, captions: dict[str, str]) -> None:
    for name, content in open_dataset(folder).layout.rewritten(folder, captions).items():
        (copy / name).write_bytes(content)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1).map(str.strip).filter(bool))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_caption_survives_writing(tmp_path_factory: pytest.TempPathFactory, layout: str, caption: str) -> None:
    folder = make_folder(tmp_path_factory.mktemp("d") / "d", 3, layout)
    _rewrite(folder, folder, {"picture 001.png": caption})
    assert {s.key: s.caption for s in open_dataset(folder).listing.samples}["picture 001.png"] == caption


def test_metadata_of_subfolders(tmp_path: Path) -> None:
    make_folder(tmp_path / "d" / "train", 3)
    make_folder(tmp_path / "d" / "test", 2)
    keys = [s.key for s in open_dataset(tmp_path / "d").listing.samples]
    assert keys == [f"test/picture {i:03}.png" for i in range(2)] + [f"train/picture {i:03}.png" for i in range(3)]


def test_what_takes_no_part_is_named(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    draw(9).save(folder / "extra.png")
    with (folder / "metadata.jsonl").open("a") as file:
        file.write('\n{"file_name": "absent.png", "text": "gone"}\n{"file_name": "picture 001x.png"}\n')
    reasons = {s.key: s.reason for s in open_dataset(folder).listing.set_aside}
    assert reasons["extra.png"] == "no caption" and "absent" in reasons["absent.png"]


def test_sidecars_without_words(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 3, "sidecar")
    (folder / "picture 000.txt").write_text("  \n")
    (folder / "picture 001.txt").write_bytes(b"\xff\xfe\xff")
    (folder / "picture 002.txt").unlink()
    make_folder(tmp_path / "d" / "more", 1, "sidecar")
    reasons = {s.key: s.reason for s in open_dataset(folder).listing.set_aside}
    assert [r.split()[0] for r in reasons.values()] == ["empty", "caption", "no"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"file_name": "picture 000.png", "text": "twice"}', "listed twice"),
        ("{broken", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"n": ' + "9" * 5000 + "}", "not JSON"),
        ("[1]", "not a JSON object"),
        ('{"text": "no name"}', "no file_name"),
        ('{"file_name": "../../etc/passwd", "text": "out"}', "leaves the dataset"),
    ],
)
def test_bad_metadata_is_refused(tmp_path: Path, line: str, message: str) -> None:
    folder = make_folder(tmp_path / "d", 2)
    with (folder / "metadata.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=message) as refusal:
        open_dataset(folder)
    assert str(refusal.value).count("\n") == 1


def test_bad_csv_and_bad_encoding_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2, "metadata.csv")
    (folder / "metadata.csv").write_text("name,text\na,b\n")
    with pytest.raises(InputError, match="no file_name column"):
        open_dataset(folder)
    (folder / "metadata.csv").write_bytes(b"file_name,text\na.png,\xff\n")
    with pytest.raises(InputError, match="not UTF-8"):
        open_dataset(folder)


def test_two_pictures_with_one_sidecar_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2, "sidecar")
    draw(1).save(folder / "picture 000.bmp")
    with pytest.raises(InputError, match="share the caption file"):
        open_dataset(folder)


def test_folders_that_are_no_datasets(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        open_dataset(tmp_path / "missing")
    with pytest.raises(InputError, match="no pictures"):
        open_dataset(tmp_path)
    draw(0).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="no captions"):
        open_dataset(tmp_path)


def test_a_caption_is_told_from_the_same_words_inside_another_value(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 1)
    row = {"info": {"text": "a box"}, "file_name": "picture 000.png", "text": "a box"}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    _rewrite(folder, folder, {"picture 000.png": "zork a box"})
    assert json.loads((folder / "metadata.jsonl").read_text()) == row | {"text": "zork a box"}
    (folder / "metadata.jsonl").write_text(r'{"file_name": "picture 000.png", "t\u0065xt": "a box"}' + "\n")
    with pytest.raises(InputError, match="cannot find the caption"):
        _rewrite(folder, folder, {"picture 000.png": "new"})


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv"])
def test_byte_order_marks_stay(tmp_path: Path, layout: str) -> None:
    folder = make_folder(tmp_path / "d", 2, layout)
    plain = (folder / layout).read_bytes()
    (folder / layout).write_bytes(codecs.BOM_UTF8 + plain)
    _rewrite(folder, folder, {"picture 001.png": "new"})
    assert (folder / layout).read_bytes().startswith(codecs.BOM_UTF8 + plain[:20])
    assert [s.caption for s in open_dataset(folder).listing.samples][1] == "new"


def test_columns_called_alike_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 1, "metadata.csv")
    (folder / "metadata.csv").write_text("file_name,text,text\npicture 000.png,a,b\n")
    with pytest.raises(InputError, match="two columns"):
        open_dataset(folder)


def test_other_columns_keep_their_bytes(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    _rewrite(folder, folder, {"picture 000.png": "new"})
    line = (folder / "metadata.jsonl").read_text().splitlines()[0]
    assert json.loads(line) == {"file_name": "picture 000.png", "text": "new", "n": 1.0} and '"n": 1.0' in line
