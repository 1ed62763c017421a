from __future__ import annotations

import os
from pathlib import Path

import pytest

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.placing import place_bytes, place_copy, placed
from tests.support.datasets import Marking, contents, copied, make_folder


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), placed(tmp_path, "a/b.png") as unfinished:
        unfinished.write_bytes(b"half")
        assert not (tmp_path / "a" / "b.png").exists()
        raise KeyboardInterrupt
    assert contents(tmp_path) == {}
    with placed(tmp_path, "a/b.png") as unfinished:
        unfinished.write_bytes(b"whole")
    assert contents(tmp_path) == {"a/b.png": b"whole"}


@pytest.mark.parametrize("name", ["../x.png", "/x.png", "a/../../x.png", "a//x.png", "./x.png", ".."])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(InputError, match="leads out"), placed(tmp_path / "target", name):
        raise AssertionError
    assert list(tmp_path.rglob("*")) == [tmp_path / "target"]


def test_links_in_the_target_are_not_followed(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d" / "train", 2).parent
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    target.mkdir()
    elsewhere.mkdir()
    (target / "train").symlink_to(elsewhere, target_is_directory=True)
    with pytest.raises(InputError, match="in the way"):
        copied(open_dataset(folder), target, Marking(set()))
    (target / "train").unlink()
    (target / "train").mkdir()
    victim = elsewhere / "victim.txt"
    victim.write_text("untouched")
    (target / "train" / "picture 000.png").symlink_to(victim)
    copied(open_dataset(folder), target, Marking({"train/picture 000.png"}))
    assert victim.read_text() == "untouched" and contents(elsewhere) == {"victim.txt": b"untouched"}
    assert not (target / "train" / "picture 000.png").is_symlink()


def test_what_a_killed_run_left_is_written_anew(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 5)
    wanted = contents(copied(open_dataset(folder), tmp_path / "copy", Marking({"picture 002.png"})))
    partial: list[Path] = []
    with pytest.raises(OSError), placed(tmp_path / "copy", "picture 001.png") as unfinished:
        partial.append(unfinished)
        raise OSError
    partial[0].write_bytes(b"half")
    (tmp_path / "copy" / "picture 003.png").unlink()
    copied(open_dataset(folder), tmp_path / "copy", Marking({"picture 002.png"}))
    assert contents(tmp_path / "copy") == wanted


def test_a_carrier_that_is_none_any_more_gets_its_original_back(tmp_path: Path) -> None:
    """Changed files keep their times and may keep their sizes: neither says that a file is right."""
    folder = make_folder(tmp_path / "d", 3)

    class Flipped(Marking):
        def picture(self, key, read):  # type: ignore[no-untyped-def]
            return read()[::-1] if key in self.keys else None

    copied(open_dataset(folder), tmp_path / "copy", Flipped({"picture 001.png"}))
    assert contents(tmp_path / "copy") != contents(folder)
    copied(open_dataset(folder), tmp_path / "copy", Marking(set()))
    assert contents(tmp_path / "copy") == contents(folder)


@pytest.mark.parametrize("link", [False, True])
def test_originals_are_never_touched(tmp_path: Path, link: bool) -> None:
    folder = make_folder(tmp_path / "d", 3)
    before = contents(folder)
    for keys in (set(), {"picture 001.png"}, {"picture 001.png", "picture 002.png"}, set()):
        copied(open_dataset(folder), tmp_path / "copy", Marking(keys), link=link)
    assert contents(folder) == before == contents(tmp_path / "copy")
    assert not list((tmp_path / "copy").glob(".*"))


def test_modes_and_times_are_those_of_the_original(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    source.write_bytes(b"a")
    source.chmod(0o444)
    os.utime(source, ns=(10**18, 10**18 + 7))
    (tmp_path / "copy").mkdir()
    place_copy(tmp_path / "copy", "x/a.png", source, link=False)
    place_bytes(tmp_path / "copy", "x/b.png", b"b", source.stat())
    for name in ("a.png", "b.png"):
        status = (tmp_path / "copy" / "x" / name).stat()
        assert (status.st_mtime_ns, status.st_mode & 0o777) == (10**18 + 7, 0o644)


def test_the_longest_names_fit(tmp_path: Path) -> None:
    name = "猫" * 84 + "1.p"  # 255 bytes
    source = tmp_path / "a"
    source.write_bytes(b"a")
    (tmp_path / "copy").mkdir()
    place_copy(tmp_path / "copy", name, source, link=False)
    place_bytes(tmp_path / "copy", name, b"b", source.stat())
    assert (tmp_path / "copy" / name).read_bytes() == b"b"
