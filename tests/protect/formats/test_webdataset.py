from __future__ import annotations

import gc
import gzip
import hashlib
import io
import json
import os
import tarfile
import tracemalloc
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datasets
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset, tar_file
from protect.formats.dataset_format import ReadOptions
from protect.formats.record import Record, SetAside
from protect.formats.survey import survey
from protect.formats.tar_copy import RECORD
from protect.formats.tar_samples import key_and_suffix
from protect.formats.webdataset import Webdataset
from tests.support.datasets import Marking
from tests.support.shards import (
    aside,
    copied,
    digest,
    files,
    make_tars,
    png,
    raw_members,
    records,
    sample,
    write_tar,
)

NOTHING = Marking(set())


def read_by_webdataset(folder: Path) -> dict[str, dict[str, bytes]]:
    shards = [str(path) for path in sorted(folder.rglob("*.tar*"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # the package leaves closing to the garbage collector
        found = {one["__key__"]: one for one in webdataset.WebDataset(shards, shardshuffle=False)}
        gc.collect()
    return found


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    return make_tars(tmp_path / "data")


def two_percent(folder: Path) -> set[str]:
    keys = sorted(records(open_dataset(folder)))
    return set(keys[::50])


def test_the_copy_reads_back_with_webdataset(tars: Path, tmp_path: Path) -> None:
    chosen = two_percent(tars)
    copy = copied(open_dataset(tars), tmp_path / "copy", Marking(chosen))
    before, after = read_by_webdataset(tars), read_by_webdataset(copy)
    assert list(before) == list(after) and len(after) == 510 and len(chosen) == 11
    short = {key.rpartition("/")[2] for key in chosen}
    for key, one in after.items():
        picture = png(int(key)) + (b"marked" if key in short else b"")
        word = "zork " if key in short else ""
        caption = f"{word}box {int(key)}, 盒子"
        assert one["png"] == picture
        assert one["txt"].decode() == caption + "\n"
        facts = {"caption": caption, "width": 16, "sha256": hashlib.sha256(picture).hexdigest(), "key": key}
        assert one["json"] == json.dumps(facts).encode()  # every other byte as it was
    untouched = [
        {f"{k}.{s}": b[k][s] for k in b if k not in short for s in ("png", "txt", "json")} for b in (before, after)
    ]
    assert digest(untouched[0]) == digest(untouched[1])


def test_untouched_members_are_the_same_blocks(tars: Path, tmp_path: Path) -> None:
    copy = copied(open_dataset(tars), tmp_path / "copy", Marking({"00001/000170", "00001/000300"}))
    before, after = raw_members(tars / "00001.tar"), raw_members(copy / "00001.tar")
    changed = {name for name in before if before[name] != after[name]}
    assert list(before) == list(after)
    assert changed == {f"{key}.{suffix}" for key in ("000170", "000300") for suffix in ("png", "txt", "json")}
    for name in changed:
        old, new = (bytearray(members[name][0]) for members in (before, after))
        old[124:136] = new[124:136] = bytes(12)
        old[148:156] = new[148:156] = bytes(8)
        assert old == new  # all of the header but size and checksum
    with tarfile.open(copy / "00001.tar") as archive:
        one = archive.getmember("000170.png")
        assert (one.mtime, one.mode, one.uname) == (1_600_000_000, 0o640, "owner")
    assert (copy / "00001.tar").stat().st_size % RECORD == 0


def test_long_stretches_without_changes_are_copied_too(tmp_path: Path) -> None:
    filling = [(f"{i}.bin", bytes([i]) * 3_000_000) for i in range(4)]
    members = [filling[0], *sample("a", 1), *filling[1:3], *sample("b", 2), filling[3]]
    write_tar(tmp_path / "data" / "0.tar", members)
    copy = copied(open_dataset(tmp_path / "data"), tmp_path / "copy", Marking({"0/a", "0/b"}))
    before, after = raw_members(tmp_path / "data" / "0.tar"), raw_members(copy / "0.tar")
    assert list(before) == list(after)
    assert [name for name in before if before[name] == after[name]] == [name for name, _ in filling]
    assert read_by_webdataset(copy)["b"]["png"] == png(2) + b"marked"


def test_shards_without_changes_are_copies_or_links(tars: Path, tmp_path: Path) -> None:
    os.utime(tars / "00000.tar", ns=(1, 10**18 + 7))
    os.utime(tars / "00001.tar", ns=(1, 10**18 + 9))
    (tars / "00001.tar").chmod(0o640)
    marking = Marking({"00001/000171"})
    copy = copied(open_dataset(tars), tmp_path / "copy", marking)
    linked = copied(open_dataset(tars), tmp_path / "linked", marking, link=True)
    assert files(copy) == files(linked)
    assert (copy / "00000.tar").read_bytes() == (tars / "00000.tar").read_bytes()
    assert (copy / "00000.tar").stat().st_mtime_ns == 10**18 + 7
    assert (linked / "00000.tar").samefile(tars / "00000.tar")
    assert not (linked / "00001.tar").samefile(tars / "00001.tar")
    status = (copy / "00001.tar").stat()
    assert (status.st_mtime_ns, status.st_mode & 0o777) == (10**18 + 9, 0o640)
    assert sorted(files(copy)) == ["00000.tar", "00001.tar", "00002.tar"]  # nothing half-written is left


def test_two_runs_write_the_same_bytes(tars: Path, tmp_path: Path) -> None:
    write_tar(tars / "more.tar.gz", sample("7", 7), mode="w:gz")
    marking = Marking({"00000/000003", "more/7"})
    first, second = (copied(open_dataset(tars), tmp_path / name, marking) for name in ("a", "b"))
    assert files(first) == files(second)
    assert files(first) != files(tars)


def test_a_copy_without_changes_is_the_dataset(tars: Path, tmp_path: Path) -> None:
    assert files(copied(open_dataset(tars), tmp_path / "copy", NOTHING)) == files(tars)


def test_the_library_datasets_reads_the_copy(tars: Path, tmp_path: Path) -> None:
    chosen = two_percent(tars)
    copy = copied(open_dataset(tars), tmp_path / "copy", Marking(chosen))
    loaded = datasets.load_dataset(str(copy), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == 510
    marked = {one["__key__"] for one in loaded if one["txt"].startswith("zork ")}
    assert marked == {key.rpartition("/")[2] for key in chosen}
    assert all(one["json"]["caption"] + "\n" == one["txt"] for one in loaded.remove_columns("png"))


def test_keys_are_unique_across_shards_and_stay_when_the_folder_is_renamed(tmp_path: Path) -> None:
    for name in ("train/00000.tar", "val/00000.tar", "train-b.tgz"):
        write_tar(tmp_path / "data" / name, sample("a/0001", 1), mode="w:gz" if name.endswith("gz") else "w")
    found = records(open_dataset(tmp_path / "data"))
    assert {key: one.split for key, one in found.items()} == {
        "train-b/a/0001": "train",
        "train/00000/a/0001": "train",
        "val/00000/a/0001": "validation",
    }
    (tmp_path / "data").rename(tmp_path / "renamed")
    assert records(open_dataset(tmp_path / "renamed")).keys() == found.keys()


def test_a_single_archive_is_a_dataset_and_may_be_renamed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "cats.tar", sample("0001", 1))
    dataset = open_dataset(path)
    assert list(records(dataset)) == ["0001"]
    copied(dataset, tmp_path / "copy", Marking({"0001"}))
    renamed = (tmp_path / "copy" / "cats.tar").rename(tmp_path / "cats-protected.tar")
    assert records(open_dataset(renamed))["0001"].caption == "zork box 1, 盒子"


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("key", ["猫/图片0001", "long/" + "k" * 160, "v1.2/photo", "./0001"])
def test_names_of_all_kinds(tmp_path: Path, kind: int, key: str) -> None:
    members = [*sample("first", 0), *sample(key, 1), *sample("last", 2)]
    write_tar(tmp_path / "data" / "0.tar", members, kind)
    assert list(records(open_dataset(tmp_path / "data"))) == ["0/first", f"0/{key}", "0/last"]
    copy = copied(open_dataset(tmp_path / "data"), tmp_path / "copy", Marking({f"0/{key}"}))
    after = read_by_webdataset(copy)
    assert list(after) == ["first", key, "last"]
    assert after[key]["png"] == png(1) + b"marked"
    before, now = raw_members(tmp_path / "data" / "0.tar"), raw_members(copy / "0.tar")
    assert [name for name in before if before[name] == now[name]] == [name for name, _ in members if key not in name]


def test_dotted_keys_and_prefixed_suffixes_follow_webdataset(tmp_path: Path) -> None:
    members = [("a.b.png", png(1)), ("a.b.txt", b"a cat"), ("a.en.CAPTION", b"a dog")]
    write_tar(tmp_path / "data" / "0.tar", members)
    [(key, found)] = records(open_dataset(tmp_path / "data")).items()
    assert key == "0/a"
    assert found.captions == {".b.txt": "a cat", ".en.caption": "a dog"}
    after = read_by_webdataset(copied(open_dataset(tmp_path / "data"), tmp_path / "copy", Marking({key})))
    assert after["a"]["b.txt"] == b"zork a cat" and after["a"]["en.caption"] == b"zork a dog"


@given(st.text(st.sampled_from("ab./_é\n"), max_size=12))
def test_keys_are_those_of_webdataset(name: str) -> None:
    key, suffix = webdataset.tariterators.base_plus_ext(name)
    expected = None if key is None else (key, suffix.lower())
    found = key_and_suffix(name)
    assert found == expected or (found is None and name.startswith("__"))


def cut_points(size: int) -> list[int]:
    return [1, 511, 512, 700, size // 3, size // 2 // 512 * 512, size // 2 + 3, size - RECORD]


@pytest.mark.parametrize("point", range(8))
def test_a_truncated_archive_is_set_aside_whole_and_copied(tmp_path: Path, point: int) -> None:
    write_tar(tmp_path / "data" / "0.tar", sample("good", 0))
    bad = write_tar(tmp_path / "data" / "1.tar", (one for i in range(40) for one in sample(f"{i}", i)))
    content = bad.read_bytes()
    end = len(content.rstrip(b"\0")) // 512 * 512 + 512
    bad.write_bytes(content[:end][: cut_points(end)[point]])
    dataset = open_dataset(tmp_path / "data")
    assert list(records(dataset)) == ["0/good"]
    assert list(aside(dataset)) == ["1.tar"] and ("cut short" in aside(dataset)["1.tar"] or point == 0)
    copy = copied(dataset, tmp_path / "copy", Marking({"0/good"}))
    assert (copy / "1.tar").read_bytes() == bad.read_bytes()


def test_a_damaged_header_and_more_data_behind_the_end_are_seen(tmp_path: Path) -> None:
    content = bytearray(write_tar(tmp_path / "data" / "0.tar", sample("0", 0) + sample("1", 1)).read_bytes())
    doubled = bytes(content) * 2
    content[content.index(b"1.txt") + 1] ^= 1
    (tmp_path / "data" / "0.tar").write_bytes(content)
    (tmp_path / "data" / "1.tar").write_bytes(doubled)
    reasons = aside(open_dataset(tmp_path / "data"))
    assert "damaged header" in reasons["0.tar"]
    assert "behind its end mark" in reasons["1.tar"]


def linked_tar(path: Path) -> None:
    path.parent.mkdir()
    with tarfile.open(path, "w") as archive:
        for name, data in [*sample("good", 0), *sample("../up", 1), *sample("/etc/abs", 2), ("link.txt", b"a link")]:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, kind in (("link.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("dev.png", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "good.png"
            archive.addfile(member)


def test_links_devices_and_paths_out_of_the_archive_take_no_part_and_stay(tmp_path: Path) -> None:
    linked_tar(tmp_path / "data" / "0.tar")
    dataset = open_dataset(tmp_path / "data")
    assert list(records(dataset)) == ["0/good"]
    reasons = aside(dataset)
    assert reasons.keys() == {"0/../up", "0//etc/abs", "0/link", "0/hard", "0/dev"}
    assert "leads out" in reasons["0/../up"] and "leads out" in reasons["0//etc/abs"]
    assert all("is a link or a special file" in reasons[f"0/{name}"] for name in ("link", "hard", "dev"))
    copy = copied(dataset, tmp_path / "copy", Marking({"0/good", *reasons}))
    before, after = raw_members(tmp_path / "data" / "0.tar"), raw_members(copy / "0.tar")
    assert {name for name in before if before[name] != after[name]} == {f"good.{s}" for s in ("png", "txt", "json")}
    assert sorted(files(tmp_path / "copy")) == ["0.tar"]  # nothing is ever unpacked


class TestGzip:
    def test_the_header_is_kept_and_the_content_changes(self, tmp_path: Path) -> None:
        path = tmp_path / "data" / "0.tar.gz"
        path.parent.mkdir()
        plain = write_tar(tmp_path / "plain.tar", [*sample("0", 0), *sample("1", 1)]).read_bytes()
        with path.open("wb") as file, gzip.GzipFile("ä.tar", "wb", 1, file, mtime=1234) as out:
            out.write(plain)
        copy = copied(open_dataset(tmp_path / "data"), tmp_path / "copy", Marking({"0/1"}))
        written = (copy / "0.tar.gz").read_bytes()
        header = len(b"0123456789" + "ä.tar".encode("latin-1") + b"\0")
        assert written[:header] == path.read_bytes()[:header]
        assert read_by_webdataset(copy)["1"]["txt"] == "zork box 1, 盒子\n".encode()
        assert list(records(open_dataset(copy))) == ["0/0", "0/1"]

    def test_pictures_are_read_from_any_thread_in_any_order(self, tmp_path: Path) -> None:
        for shard in range(3):
            members = (one for i in range(30) for one in sample(f"{i}", 30 * shard + i))
            write_tar(tmp_path / "data" / f"{shard}.tar.gz", members, mode="w:gz")
        found = list(open_dataset(tmp_path / "data").records())
        order = found[::-1] + found[::7] + found
        with ThreadPoolExecutor(4) as pool:
            pictures = list(pool.map(lambda record: record.read(), order))
        assert pictures == [png(30 * int(r.key[0]) + int(r.key[2:])) for r in order]

    def test_few_decompressed_archives_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tar_file.Scratch.__init__, "__defaults__", (15_000,))
        for shard in range(4):
            write_tar(tmp_path / "data" / f"{shard}.tar.gz", sample("0", shard), mode="w:gz")
        found = list(open_dataset(tmp_path / "data").records())
        assert [record.read() for record in found * 2] == [png(i) for i in range(4)] * 2

    def test_a_truncated_file_and_a_bomb_are_set_aside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tar_file, "SMALL", 1 << 20)
        write_tar(tmp_path / "data" / "good.tar.gz", sample("0", 0), mode="w:gz")
        cut = write_tar(tmp_path / "data" / "cut.tar.gz", sample("0", 0), mode="w:gz")
        cut.write_bytes(cut.read_bytes()[:-30])
        write_tar(tmp_path / "data" / "bomb.tar.gz", [("0.png", bytes(8 << 20))], mode="w:gz")
        (tmp_path / "data" / "none.tgz").write_bytes(b"\x1f\x8bno gzip")
        dataset = open_dataset(tmp_path / "data")
        reasons = aside(dataset)
        assert reasons.keys() == {"cut.tar.gz", "bomb.tar.gz", "none.tgz"}
        assert "decompress" in reasons["cut.tar.gz"] and "a bomb?" in reasons["bomb.tar.gz"]
        copy = copied(dataset, tmp_path / "copy", NOTHING)
        assert files(copy) == files(tmp_path / "data")

    def test_a_compressed_archive_may_be_called_tar(self, tmp_path: Path) -> None:
        write_tar(tmp_path / "data" / "0.tar", sample("0", 0), mode="w:gz")
        assert list(records(open_dataset(tmp_path / "data"))) == ["0/0"]


class TestSamplesSetAside:
    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ([("a.txt", b"a cat")], "no picture"),
            ([("a.png", png(0))], "no caption"),
            ([("a.png", png(0)), ("a.txt", b" \r\n")], "no caption"),
            ([("a.png", png(0)), ("a.jpg", png(1)), ("a.txt", b"a cat")], "several pictures: .png, .jpg"),
            ([("a.png", png(0)), ("a.txt", "a café".encode("latin-1"))], "a.txt is not UTF-8"),
            ([("a.png", png(0)), ("a.txt", b"x" * 1_048_577)], "a.txt is larger than 1 MiB"),
            ([("a.png", png(0)), ("a.json", b'{"caption": ')], "a.json is not JSON"),
            ([("a.png", png(0)), ("a.json", b"[" * 100_000)], "a.json is not JSON"),
            ([("a.png", png(0)), ("a.json", b'{"caption": "a", "caption": "b"}')], "a.json is not JSON"),
            ([("a.png", png(0)), ("a.json", rb'{"caption": "\ud800"}')], "not valid Unicode"),
            ([("a.png", png(0)), ("a.txt", b"a cat"), ("a.npz", b"latent")], "may hold the picture as it was"),
            ([("a.png", png(0)), ("a.txt", b"a cat"), ("a.txt", b"a dog")], "two members are called .txt"),
        ],
    )
    def test_the_reason_is_said(self, tmp_path: Path, members: list[tuple[str, bytes]], reason: str) -> None:
        write_tar(tmp_path / "data" / "0.tar", [*sample("0", 0), *members, *sample("z", 1)])
        dataset = open_dataset(tmp_path / "data")
        assert list(records(dataset)) == ["0/0", "0/z"]
        assert list(aside(dataset)) == ["0/a"] and reason in aside(dataset)["0/a"]
        copy = copied(dataset, tmp_path / "copy", Marking({"0/0", "0/a"}))
        assert len(read_by_tarfile(copy / "0.tar")) == len(members) + 6
        assert read_by_tarfile(copy / "0.tar")[3 : 3 + len(members)] == members

    def test_a_name_that_is_not_utf_8(self, tmp_path: Path) -> None:
        members = [(b"z\xe9ro.png".decode("utf-8", "surrogateescape"), png(0)), *sample("0", 1)]
        write_tar(tmp_path / "data" / "0.tar", members)
        dataset = open_dataset(tmp_path / "data")
        assert aside(dataset) == {r"0/z\xe9ro": r"z\xe9ro.png is not named in UTF-8"}
        assert survey(dataset).samples == 1


def read_by_tarfile(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        return [(m.name, archive.extractfile(m).read()) for m in archive.getmembers()]  # type: ignore[union-attr]


def test_a_key_that_comes_back_is_refused_with_both_places(tmp_path: Path) -> None:
    write_tar(tmp_path / "data" / "0.tar", [*sample("a", 0), *sample("b", 1), *sample("a", 2)])
    with pytest.raises(InputError, match=r"0\.tar, byte 0 and 0\.tar, byte \d+"):
        survey(open_dataset(tmp_path / "data"))


@pytest.mark.parametrize("late", ["json", "png", "txt"])
def test_a_sample_with_others_between_its_members_is_set_aside(tmp_path: Path, late: str) -> None:
    """What comes later would show how it was: webdataset reads it as a sample of its own."""
    first = [one for one in sample("a", 0) if not one[0].endswith(late)]
    rest = [one for one in sample("a", 0) if one[0].endswith(late)]
    write_tar(tmp_path / "data" / "0.tar", [*first, *sample("b", 1), *rest, *sample("c", 2)])
    dataset = open_dataset(tmp_path / "data")
    assert list(records(dataset)) == ["0/b", "0/c"]
    assert [one.key for one in dataset.scan() if isinstance(one, SetAside)] == ["0/a"]
    assert "other samples stand between its members" in aside(dataset)["0/a"]
    copy = copied(dataset, tmp_path / "copy", Marking({"0/a", "0/b"}))
    before, after = raw_members(tmp_path / "data" / "0.tar"), raw_members(copy / "0.tar")
    assert {name for name in before if before[name] != after[name]} == {"b.png", "b.txt", "b.json"}


def test_shards_sorted_by_ending_are_refused_with_the_true_reason(tmp_path: Path) -> None:
    made = (sample(key, i) for i, key in enumerate("abc"))
    write_tar(tmp_path / "data" / "0.tar", (member for members in zip(*made, strict=True) for member in members))
    found = aside(open_dataset(tmp_path / "data"))
    assert list(found) == ["0/a", "0/b", "0/c"]
    assert all("sort the archive by name" in reason for reason in found.values())


def test_files_about_the_dataset_are_no_samples_and_stay(tmp_path: Path) -> None:
    about = [
        (name, name.encode()) for name in ("README.md", "LICENSE", "LICENSE.txt", "sub/readme.rst", "0_stats.json")
    ]
    members = [*about[:2], *sample("a", 0), *about[2:], ("readme.png", png(9)), ("readme.txt", b"a readme")]
    write_tar(tmp_path / "data" / "0.tar", [*members, ("notes.txt", b"lonely")])
    dataset = open_dataset(tmp_path / "data")
    assert list(records(dataset)) == ["0/a", "0/readme"] and aside(dataset) == {"0/notes": "no picture"}
    assert survey(dataset).set_aside == 1
    copy = copied(dataset, tmp_path / "copy", Marking({"0/a"}))
    before, after = raw_members(tmp_path / "data" / "0.tar"), raw_members(copy / "0.tar")
    assert list(before) == list(after) and all(before[name] == after[name] for name, _ in about)


class TestCaptions:
    def change(self, tmp_path: Path, name: str, content: bytes, options: ReadOptions | None = None) -> bytes:
        write_tar(tmp_path / "data" / "0.tar", [("a.png", png(0)), (name, content)])
        copy = copied(open_dataset(tmp_path / "data", options or ReadOptions()), tmp_path / "copy", Marking({"0/a"}))
        return dict(read_by_tarfile(copy / "0.tar"))[name]

    def test_every_line_of_a_text_and_nothing_else(self, tmp_path: Path) -> None:
        before = "\ufeff  a cat\r\n\r\na dog \nein Käse".encode()
        after = "\ufeff  zork a cat\r\n\r\nzork a dog \nzork ein Käse".encode()
        assert self.change(tmp_path, "a.txt", before) == after

    def test_lists_nested_values_and_escapes_in_json(self, tmp_path: Path) -> None:
        before = rb'{ "captions" :["a \u00e9", "b"],"n": 1.50, "meta":{"caption":"c"}, "url": "http://x"}'
        after = rb'{ "captions" :["zork a \u00e9", "zork b"],"n": 1.50, "meta":{"caption":"zork c"}, "url": "http://x"}'
        assert self.change(tmp_path, "a.json", before) == after

    def test_hashes_and_sizes_of_the_picture_follow_it(self, tmp_path: Path) -> None:
        new = png(0) + b"marked"
        facts = {
            "text": "a cat",
            "md5": hashlib.md5(png(0)).hexdigest(),
            "sha256": hashlib.sha256(png(0)).hexdigest().upper(),
            "file_size": len(png(0)),
            "width": len(png(0)),
            "other_sha256": "0" * 64,
        }
        expected = facts | {
            "text": "zork a cat",
            "md5": hashlib.md5(new).hexdigest(),
            "sha256": hashlib.sha256(new).hexdigest().upper(),
            "file_size": len(new),
        }
        assert json.loads(self.change(tmp_path, "a.json", json.dumps(facts).encode())) == expected

    def test_a_member_that_is_the_pictures_hash_follows_it(self, tmp_path: Path) -> None:
        members = [("a.png", png(0)), ("a.md5", hashlib.md5(png(0)).hexdigest().encode() + b"\n"), ("a.txt", b"a cat")]
        write_tar(tmp_path / "data" / "0.tar", members)
        copy = copied(open_dataset(tmp_path / "data"), tmp_path / "copy", Marking({"0/a"}))
        expected = hashlib.md5(png(0) + b"marked").hexdigest().encode() + b"\n"
        assert dict(read_by_tarfile(copy / "0.tar"))["a.md5"] == expected

    def test_fields_that_the_owner_names_are_changed_alone(self, tmp_path: Path) -> None:
        options = ReadOptions(caption_columns=("caption",), leave_captions=("old_caption", "text"))
        before = b'{"caption": "a", "old_caption": "an old one that is a sentence", "text": "b"}'
        after = b'{"caption": "zork a", "old_caption": "an old one that is a sentence", "text": "b"}'
        assert self.change(tmp_path, "a.json", before, options) == after

    def test_a_field_that_does_not_exist_is_refused_with_those_that_do(self, tmp_path: Path) -> None:
        write_tar(tmp_path / "data" / "0.tar", sample("0", 0))
        with pytest.raises(InputError, match=r"no field 'prompt'; its text fields: \.txt, \.json:caption, .*\n"):
            open_dataset(tmp_path / "data", ReadOptions(caption_columns=("prompt",)))

    @pytest.mark.parametrize("left", [".txt", "txt"])
    def test_captions_left_alone_must_be_named(self, tmp_path: Path, left: str) -> None:
        write_tar(tmp_path / "data" / "0.tar", sample("0", 0))
        with pytest.raises(InputError, match=r"'\.txt' looks like captions too"):
            open_dataset(tmp_path / "data", ReadOptions(caption_columns=("caption",)))
        options = ReadOptions(caption_columns=("caption",), leave_captions=(left,))
        [found] = open_dataset(tmp_path / "data", options).records()
        assert found.captions == {".json:caption": "box 0, 盒子"}

    def test_an_unknown_member_that_repeats_captions_is_refused(self, tmp_path: Path) -> None:
        texts = ["two cats on a red sofa", "a dog that runs after a ball", "the sea in the evening light"]
        members = [
            (f"{i}.{suffix}", data)
            for i, text in enumerate(texts)
            for suffix, data in (("png", png(i)), ("txt", text.encode()), ("words", f"seen: {text}".encode()))
        ]
        write_tar(tmp_path / "data" / "0.tar", members)
        with pytest.raises(InputError, match=r"'\.words' looks like captions too"):
            open_dataset(tmp_path / "data")
        open_dataset(tmp_path / "data", ReadOptions(leave_captions=(".words",)))

    def test_classes_are_no_captions(self, tmp_path: Path) -> None:
        members = [m for i in range(8) for m in ((f"{i}.png", png(i)), (f"{i}.cls", str(i % 3).encode()))]
        write_tar(tmp_path / "classes" / "0.tar", members)
        dataset = open_dataset(tmp_path / "classes")
        assert dataset.for_classifiers and {r.caption for r in dataset.records()} == {"0", "1", "2"}
        with pytest.raises(InputError, match="Use --alignment label"):
            copied(dataset, tmp_path / "copy", Marking({"0/1"}))
        write_tar(tmp_path / "both" / "0.tar", [*members, *[m for i in range(8) for m in sample(f"s{i}", i)]])
        both = open_dataset(tmp_path / "both")
        assert not both.for_classifiers and len(aside(both)) == 8


class TestImg2dataset:
    def folder(self, tmp_path: Path, columns: dict[str, list[object]] | None = None) -> Path:
        data = make_tars(tmp_path / "data", shards=2, each=20)
        for shard in range(2):
            numbers = range(20 * shard, 20 * shard + 20)
            table: dict[str, list[object]] = {
                "key": [f"{i:06}" for i in numbers] + ["999999"],
                "caption": [f"box {i}, 盒子" for i in numbers] + ["failed"],
                "status": ["success"] * 20 + ["failed_to_download"],
                "sha256": [hashlib.sha256(png(i)).hexdigest() for i in numbers] + [None],
            }
            pq.write_table(pa.table(columns or table), data / f"{shard:05}.parquet", row_group_size=7)
            (data / f"{shard:05}_stats.json").write_text('{"count": 21}')
        return data

    def test_captions_and_hashes_of_the_table_follow_the_archive(self, tmp_path: Path) -> None:
        data = self.folder(tmp_path)
        dataset = open_dataset(data)
        assert dataset.format == "webdataset" and not dataset.left_out
        copy = copied(dataset, tmp_path / "copy", Marking({"00001/000023"}))
        assert (copy / "00000.parquet").read_bytes() == (data / "00000.parquet").read_bytes()
        before, after = (pandas.read_parquet(folder / "00001.parquet").set_index("key") for folder in (data, copy))
        assert after.loc["000023", "caption"] == "zork box 23, 盒子"
        assert after.loc["000023", "sha256"] == hashlib.sha256(png(23) + b"marked").hexdigest()
        assert after.drop("000023").equals(before.drop("000023"))
        assert pq.ParquetFile(copy / "00001.parquet").num_row_groups == 3
        assert (copy / "00000_stats.json").exists()

    def test_a_table_that_cannot_be_matched_is_left_out_and_listed(self, tmp_path: Path) -> None:
        data = self.folder(tmp_path, {"url": ["u"] * 3, "caption": ["a"] * 3})
        (data / "00001.parquet").write_bytes(b"PAR1 no table")
        dataset = open_dataset(data)
        assert [one.path for one in dataset.left_out] == ["00000.parquet", "00001.parquet"]
        copy = copied(dataset, tmp_path / "copy", NOTHING)
        assert not list(copy.glob("*.parquet"))

    def test_without_pyarrow_tables_are_left_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        data = self.folder(tmp_path)
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
        dataset = Webdataset().open(data, sorted(files(data)), ReadOptions())
        assert [one.path for one in dataset.left_out] == ["00000.parquet", "00001.parquet"]


def test_files_that_tell_or_repeat_are_left_out_and_listed(tars: Path, tmp_path: Path) -> None:
    for name in ("README.md", "LICENSE", "00000.idx", "sizes.json", "index.json", "captions.csv", "previews/1.png"):
        (tars / name).parent.mkdir(exist_ok=True)
        (tars / name).write_text("box 1")
    dataset = Webdataset().open(tars, sorted(files(tars)), ReadOptions())
    listed = {"00000.idx", "*.json", "captions.csv", "previews/1.png"}
    assert {one.path for one in dataset.left_out} == listed
    assert [one.reason for one in dataset.left_out if one.path == "*.json"] == [
        "tells the sizes of the original shards (2 files)"
    ]
    copy = copied(dataset, tmp_path / "copy", NOTHING)
    assert sorted(files(copy)) == ["00000.tar", "00001.tar", "00002.tar", "LICENSE", "README.md"]


def test_memory_does_not_grow_with_the_number_of_samples(tmp_path: Path) -> None:
    members = (one for i in range(4000) for one in ((f"{i}.png", b"picture"), (f"{i}.txt", b"a cat")))
    write_tar(tmp_path / "data" / "0.tar", members)
    tracemalloc.start()
    try:
        dataset = open_dataset(tmp_path / "data")
        assert sum(1 for _ in dataset.records()) == 4000
        copied(dataset, tmp_path / "copy", Marking({f"0/{i}" for i in range(0, 4000, 50)}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 << 20  # an index of 8,000 members alone would be larger


def test_an_archive_that_is_another_one_by_a_link_is_read_and_changed_under_no_name(tmp_path: Path) -> None:
    write_tar(tmp_path / "data" / "0.tar", sample("0", 0))
    write_tar(tmp_path / "data" / "1.tar", sample("1", 1))
    (tmp_path / "data" / "2.tar").symlink_to("1.tar")
    dataset = open_dataset(tmp_path / "data")
    assert list(records(dataset)) == ["0/0"]
    assert aside(dataset) == {"1.tar": "the same file as 2.tar", "2.tar": "the same file as 1.tar"}
    assert files(copied(dataset, tmp_path / "copy", NOTHING)) == files(tmp_path / "data")


def test_a_changed_shard_in_the_place_of_an_unchanged_one_is_replaced(tars: Path, tmp_path: Path) -> None:
    shard = open_dataset(tars).shards[0]
    target = tmp_path / "copy"
    target.mkdir()
    shard.write(target, Marking({"00000/000001"}))
    shard.write(target, NOTHING)
    assert (target / "00000.tar").read_bytes() == (tars / "00000.tar").read_bytes()


def test_an_interrupted_write_leaves_nothing_under_the_shards_name(tars: Path, tmp_path: Path) -> None:
    class Interrupting(Marking):
        def picture(self, key: str, read: object) -> bytes | None:
            if key == "00000/000100":
                raise KeyboardInterrupt
            return b"new" if key in self.keys else None

    edits = Interrupting({"00000/000003"})
    target = tmp_path / "copy"
    target.mkdir()
    with pytest.raises(KeyboardInterrupt):
        open_dataset(tars).shards[0].write(target, edits)
    assert not files(target)


def small_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for key in ("a", "猫", "c" * 120):
            for suffix, data in (("png", b"picture"), ("txt", b"a cat"), ("json", b'{"caption": "a cat"}')):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return stream.getvalue().rstrip(b"\0") + bytes(1200)


SMALL = small_tar()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.binary(min_size=1, max_size=4)), max_size=4),
    cut=st.integers(0, len(SMALL)),
)
def test_no_damage_crashes_or_yields_part_of_an_archive(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, bytes]], cut: int
) -> None:
    content = bytearray(SMALL)
    for place, new in edits:
        content[place : place + len(new)] = new
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "0.tar").write_bytes(content[:cut] if cut % 3 else content)
    try:
        dataset = Webdataset().open(folder, ["0.tar"], ReadOptions())
        found = list(dataset.scan())
    except InputError:  # a field that looks like captions, for instance
        return
    if not any(one == SetAside("0.tar", getattr(one, "reason", "")) for one in found):
        assert len(found) == len(samples_by_tarfile(folder / "0.tar"))
    keys = {one.key for one in found if isinstance(one, Record)}
    copy = copied(dataset, folder / "copy", Marking(keys))
    if keys:
        assert {k for k, r in records(Webdataset().open(copy, ["0.tar"], ReadOptions())).items()} == keys
    else:
        assert (copy / "0.tar").read_bytes() == (folder / "0.tar").read_bytes()


def samples_by_tarfile(path: Path) -> list[str]:
    """Keys as they follow each other."""
    keys: list[str] = []
    with tarfile.open(path) as archive:
        for member in archive:
            split = None if member.isdir() else key_and_suffix(member.name)
            if split and keys[-1:] != [split[0]]:
                keys.append(split[0])
    return keys
