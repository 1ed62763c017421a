"""The shipped sample dataset and its unpacking."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from PIL import Image

from protect import sample
from protect.errors import InputError
from protect.sample import sample_dataset_path, unpack_sample


@pytest.fixture(scope="module")
def members() -> dict[str, bytes]:
    """Name and bytes of every member, in tar order."""
    found = {}
    with tarfile.open(sample_dataset_path()) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "pictures"
    unpack_sample(folder)
    return folder


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_tar_is_small_sorted_and_anonymous() -> None:
    assert sample_dataset_path().stat().st_size <= 12 * 2**20
    with tarfile.open(sample_dataset_path()) as tar:
        found = tar.getmembers()
    names = [member.name for member in found]
    assert names == sorted(set(names))
    assert {(m.mtime, m.uid, m.gid, m.mode, m.uname, m.gname) for m in found} == {(0, 0, 0, 0o644, "", "")}


def test_every_sample_is_a_picture_with_a_caption(members: dict[str, bytes]) -> None:
    pictures = {Path(name).stem for name in members if name.endswith(".png")}
    captions = {Path(name).stem for name in members if name.endswith(".txt")}
    assert pictures == captions
    assert len(members) == 2 * len(pictures)
    assert 2350 <= len(pictures) <= 2450


def test_captions_are_unique_plain_phrases(members: dict[str, bytes]) -> None:
    captions = [data.decode() for name, data in members.items() if name.endswith(".txt")]
    assert len(set(captions)) == len(captions)
    for caption in captions:
        assert caption.startswith("noto emoji of ")
        assert caption == caption.lower().strip()
        assert not set(caption) & set('.:;!?()“”"\n')


def test_pictures_are_rgb_distinct_and_not_blank(members: dict[str, bytes]) -> None:
    seen = set()
    for name, data in members.items():
        if not name.endswith(".png"):
            continue
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.mode == "RGB"
            assert picture.width == picture.height
            assert 64 <= picture.width <= 128
            assert picture.getpixel((0, 0)) == (255, 255, 255)
            assert picture.getcolors(1) is None, f"{name} is one flat colour"
            seen.add(picture.tobytes())
    assert len(seen) == len(members) // 2


def test_unpacked_folder_is_the_tar(members: dict[str, bytes], unpacked: Path) -> None:
    lines = (unpacked / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    keys = [Path(name).stem for name in members if name.endswith(".png")]
    assert rows == [{"file_name": f"{key}.png", "text": members[f"{key}.txt"].decode()} for key in keys]
    for key in keys:
        assert (unpacked / f"{key}.png").read_bytes() == members[f"{key}.png"]
    assert len(list(unpacked.iterdir())) == len(keys) + 1
    assert any(not line.isascii() for line in lines)


def test_unpacking_again_gives_the_same_bytes(tmp_path: Path, unpacked: Path) -> None:
    assert unpack_sample(tmp_path / "again") == len(list(unpacked.glob("*.png")))
    assert contents(tmp_path / "again") == contents(unpacked)


def test_limit_spreads_over_the_tar_in_its_order(tmp_path: Path, unpacked: Path) -> None:
    assert unpack_sample(tmp_path / "few", limit=7) == 7
    lines = (tmp_path / "few" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    every = (unpacked / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    places = [every.index(line) for line in lines]
    assert places == [index * len(every) // 7 for index in range(7)]
    assert {json.loads(line)["file_name"] for line in lines} == {path.name for path in (tmp_path / "few").glob("*.png")}


def test_limit_above_the_count_takes_everything(tmp_path: Path, unpacked: Path) -> None:
    assert unpack_sample(tmp_path / "all", limit=10**6) == len(list(unpacked.glob("*.png")))


@pytest.mark.parametrize("limit", [0, -1])
def test_limit_below_one_is_refused(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InputError, match=f"limit {limit}"):
        unpack_sample(tmp_path / "none", limit=limit)
    assert not list(tmp_path.iterdir())


def test_non_empty_folder_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="is not empty") as refusal:
        unpack_sample(tmp_path)
    assert refusal.value.advice
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("keep")
    with pytest.raises(InputError, match="is a file"):
        unpack_sample(tmp_path / "taken", limit=1)


def test_empty_folder_new_parents_and_stale_partial_are_fine(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)
    stale = tmp_path / "a" / "b.partial"
    stale.mkdir()
    (stale / "old.png").write_bytes(b"old")
    assert unpack_sample(target, limit=2) == 2
    assert unpack_sample(tmp_path / "c" / "d", limit=2) == 2
    assert contents(target) == contents(tmp_path / "c" / "d")
    assert not stale.exists()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sample, "_unpack", full_disk)
    with pytest.raises(InputError, match="No space left"):
        unpack_sample(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_missing_asset_names_the_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protect.sample.resources.files", lambda _: tmp_path)
    with pytest.raises(InputError, match="make_sample_dataset"):
        sample_dataset_path()
