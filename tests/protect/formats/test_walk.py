from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protect.errors import InputError
from protect.formats import open_dataset
from protect.formats.walk import Names, walk
from tests.support.datasets import Marking, contents, copied, make_folder, marked_copy


def _touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_order_is_by_folder_and_stem(tmp_path: Path) -> None:
    _touch(tmp_path, "b/1.png", "a.png", "a.txt", "a.b.png", "a/2.png", "A.png", "a.TXT", "b/1.a.png", "b/1.txt")
    assert list(walk(tmp_path)) == [
        *("A.png", "a.TXT", "a.png", "a.txt", "a.b.png"),
        *("a/2.png", "b/1.png", "b/1.txt", "b/1.a.png"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        *(".git/config", ".cache/huggingface/x.lock", ".ipynb_checkpoints/a.png", "__MACOSX/._a.png", "._a.png"),
        *(".DS_Store", "Thumbs.db", "desktop.ini", "@eaDir/a.png/THUMB_XL.jpg", "cats/.hidden.png", "~$a.xlsx"),
    ],
)
def test_hidden_and_system_things_are_no_data(tmp_path: Path, name: str) -> None:
    _touch(tmp_path, "a.png", "cats/b.png", name)
    names = walk(tmp_path)
    assert list(names) == ["a.png", "cats/b.png"]
    assert len(names.left_out) == 1 and name.startswith(names.left_out[0].path)
    assert names.left_out[0].reason


def test_many_hidden_files_are_one_entry(tmp_path: Path) -> None:
    _touch(tmp_path, "a.png", *(f"x/._{i}.png" for i in range(2000)))
    (entry,) = walk(tmp_path).left_out
    assert entry.path == "x/._*" and "2,000" in entry.reason


def test_links_inside_are_followed_and_written_as_files(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "d" / "real", 3).parent
    (root / "real" / "picture 000.png").rename(root / "picture.bin")
    (root / "real" / "picture 000.png").symlink_to("../picture.bin")
    (tmp_path / "door").symlink_to("d")
    dataset = open_dataset(tmp_path / "door")
    assert [r.key for r in dataset.records()] == [f"real/picture 00{i}.png" for i in (1, 2)]
    copy = copied(dataset, tmp_path / "copy", Marking({"real/picture 001.png"}))
    assert not any(path.is_symlink() for path in copy.rglob("*"))
    assert (copy / "real/picture 000.png").read_bytes() == (root / "picture.bin").read_bytes()


def test_one_file_under_two_names_never_changes(tmp_path: Path) -> None:
    """Changed under one name only, it would lie beside its original."""
    folder = make_folder(tmp_path / "d", 4)
    (folder / "picture 001.png").unlink()
    (folder / "picture 001.png").symlink_to("picture 003.png")
    dataset = open_dataset(folder)
    aside = {found.key: found.reason for found in dataset.scan() if hasattr(found, "reason")}
    assert set(aside) == {"picture 001.png", "picture 003.png"}
    assert aside["picture 003.png"] == "the same file as picture 001.png"
    copy = copied(dataset, tmp_path / "copy", Marking({f"picture 00{i}.png" for i in range(4)}))
    changed = {name for name, data in contents(copy).items() if data.endswith(b"marked")}
    assert changed == {"picture 000.png", "picture 002.png"}


def test_links_that_leave_the_dataset_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    (tmp_path / "secret.png").write_bytes(b"x")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match=r"out.png is a link to .*secret.png, outside"):
        open_dataset(folder)
    (folder / "out.png").unlink()
    (folder / "more").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(InputError, match="more is a link to"):
        open_dataset(folder)


def test_circles_and_broken_links(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d" / "a", 2).parent
    (folder / "gone.png").symlink_to("nothing.png")
    dataset = open_dataset(folder)
    assert [(one.path, one.reason) for one in dataset.left_out] == [("gone.png", "a link to nothing")]
    (folder / "b").mkdir()
    (folder / "a" / "to b").symlink_to("../b", target_is_directory=True)
    (folder / "b" / "to a").symlink_to("../a", target_is_directory=True)
    with pytest.raises(InputError, match=r"is a link to .*, which holds it"):
        open_dataset(folder)


def test_special_files_are_left_out(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    os.mkfifo(folder / "pipe.png")
    assert [one.reason for one in open_dataset(folder).left_out] == ["neither a file nor a folder"]


def test_names_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 2)
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff.png"))).write_bytes(b"x")
    with pytest.raises(InputError, match="no valid name"):
        open_dataset(folder)


def _hub_cache(root: Path, count: int) -> Path:
    """A dataset as huggingface_hub keeps it: links to blobs outside of the snapshot."""
    repository = root / "hub" / "datasets--owner--name"
    snapshot = make_folder(repository / "snapshots" / "0123abc", count)
    (repository / "blobs").mkdir()
    for i, path in enumerate(sorted(snapshot.iterdir())):
        path.rename(repository / "blobs" / f"{i:040x}")
        path.symlink_to(f"../../blobs/{i:040x}")
    return snapshot


@pytest.mark.parametrize("link", [False, True])
def test_hub_caches(tmp_path: Path, link: bool) -> None:
    snapshot = _hub_cache(tmp_path, 20)
    before = contents(snapshot)
    dataset = open_dataset(snapshot)
    copy = copied(dataset, tmp_path / "copy", Marking({"picture 003.png"}), link=link)
    assert not any(path.is_symlink() for path in copy.iterdir())
    after = contents(copy)
    assert {name for name in before if before[name] != after[name]} == {"picture 003.png", "metadata.jsonl"}
    assert contents(snapshot) == before
    with pytest.raises(InputError, match=r"1 snapshot.*\n.*0123abc"):
        open_dataset(tmp_path / "hub" / "datasets--owner--name")
    (snapshot / "leak.png").symlink_to(tmp_path / "elsewhere.png")
    with pytest.raises(InputError, match="outside"):
        open_dataset(snapshot)


def test_unreadable_folders_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_folder(tmp_path / "d" / "locked", 1)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        open_dataset(tmp_path / "d")


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), unique=True))
def test_names_keep_all_names(names: list[str]) -> None:
    kept = Names(names)
    assert list(kept) == names == [kept[i] for i in range(len(kept))] == kept[:]
    assert all(name in kept and kept[kept.find(name) or 0] == name for name in names)
    assert "not\0there" not in kept and kept.find("not\0there") is None


def test_names_are_found_in_either_spelling() -> None:
    composed, decomposed = "caf\u00e9.png", "cafe\u0301.png"
    assert Names(["a", decomposed]).find(composed) == 1
    both = Names([decomposed, composed])
    assert both.find(composed) == 1 and both.find(decomposed) == 0
    assert composed in both and composed not in Names([decomposed])


def test_copies_with_decomposed_names_match(tmp_path: Path) -> None:
    """Some file systems respell names: metadata says NFC, the folder NFD."""
    folder = make_folder(tmp_path / "d", 3)
    (folder / "picture 001.png").rename(folder / "cafe\u0301 \u732b.png")
    text = (folder / "metadata.jsonl").read_text().replace("picture 001.png", "caf\u00e9 \u732b.png")
    (folder / "metadata.jsonl").write_text(text)
    keys = [record.key for record in open_dataset(folder).records()]
    assert keys[1] == "cafe\u0301 \u732b.png"
    assert marked_copy(folder, tmp_path / "copy", every=1) == set(keys)
    assert all(r.caption.startswith("zork ") for r in open_dataset(tmp_path / "copy").records())
    assert all(r.read().endswith(b"marked") for r in open_dataset(tmp_path / "copy").records())
