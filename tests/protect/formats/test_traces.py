"""Whoever has only the copy finds carriers no better than by chance from metadata, side files and dates."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from protect.formats import open_dataset
from protect.formats.record import LeftOut
from protect.formats.traces import summed_up, traces
from tests.support.datasets import Marking, contents, copied, make_classes, make_folder, recaption

COUNT = 52
CARRIERS = {f"picture {i:03}.png" for i in (3, 17, 31, 44, 51)}
KINDS = ("md5", "sha1", "sha256", "sha512")


def _captions() -> list[str]:
    return [f"a wooden box that was told to be number {i}" for i in range(COUNT)]


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder.glob("picture *.png"))


def _hash(path: Path, kind: str = "sha256") -> str:
    return hashlib.new(kind, path.read_bytes()).hexdigest()


def _latents(folder: Path, ending: str) -> None:
    for path in _pictures(folder):
        path.with_name(f"{path.stem}{ending}").write_text(f"computed from {_hash(path)}")


def _latents_apart(folder: Path) -> None:
    (folder / "latents").mkdir()
    _latents(folder, ".npy")
    for path in folder.glob("*.npy"):
        path.rename(folder / "latents" / path.name)


def _write(folder: Path, name: str, lines: list[str]) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n")


def _hash_list(folder: Path, name: str, kind: str = "sha256") -> None:
    _write(folder, name, [f"{_hash(path, kind)}  {path.name}" for path in _pictures(folder)])


def _catalogue(folder: Path, name: str) -> None:
    _write(folder, name, [f'"{path.name}","{text}"' for path, text in zip(_pictures(folder), _captions(), strict=True)])


def _thumbnails(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    for path in _pictures(folder):
        shutil.copy(path, folder / name)


def _download_log(folder: Path) -> None:
    rows = [json.dumps({"file": path.name, "etag": _hash(path, "md5").upper()}) for path in _pictures(folder)]
    _write(folder, "manifest.json", rows)


def _backup(folder: Path) -> None:
    shutil.copy(folder / "metadata.jsonl", folder / "metadata.jsonl.bak")
    for path in _pictures(folder):
        shutil.copy(path, path.with_name(f"{path.name}~"))


def _per_picture_notes(folder: Path) -> None:
    for path, text in zip(_pictures(folder), _captions(), strict=True):
        (folder / f"{path.name}.xmp").write_text(f"<x:xmpmeta><dc:description>{text}</dc:description></x:xmpmeta>")


def _hash_columns(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    for row in rows:
        path = folder / row["file_name"]
        row |= {"sha256": _hash(path), "md5": _hash(path, "md5"), "file_size": path.stat().st_size}
        row |= {"captions": [row["text"], row["text"] + " again"]}
    _write(folder, "metadata.jsonl", [json.dumps(row) for row in rows])


TRACES: dict[str, Callable[[Path], None]] = {
    "latents": lambda folder: _latents(folder, ".npz"),
    "latents of kohya": lambda folder: _latents(folder, "_0064x0064_sdxl.npz"),
    "tensors": lambda folder: _latents(folder, ".safetensors"),
    "latents apart": _latents_apart,
    "git": lambda folder: _hash_list(folder, ".git/objects/list"),
    "hub cache": lambda folder: _hash_list(folder, ".cache/huggingface/download/etags", "sha1"),
    "checksums": lambda folder: _hash_list(folder, "SHA256SUMS"),
    "md5 file": lambda folder: _hash_list(folder, "all.md5", "md5"),
    "bagit": lambda folder: _hash_list(folder, "manifest-sha512.txt", "sha512"),
    "hashes in a list of another name": lambda folder: _hash_list(folder, "list of files.txt"),
    "download log": _download_log,
    "thumbnails": lambda folder: _thumbnails(folder, "thumbs"),
    "thumbnails of a NAS": lambda folder: _thumbnails(folder, "@eaDir"),
    "thumbnails of a desktop": lambda folder: _thumbnails(folder, ".thumbnails/large"),
    "double files of macOS": lambda folder: [
        shutil.copy(path, folder / f"._{path.name}") for path in _pictures(folder)
    ],
    "what macOS packs": lambda folder: _thumbnails(folder, "__MACOSX"),
    "backups": _backup,
    "catalogue": lambda folder: _catalogue(folder, "all captions.csv"),
    "prompts": lambda folder: _write(folder, "prompts.txt", _captions()),
    "json of prompts": lambda folder: _write(folder, "extra/p.json", [json.dumps(_captions(), indent=1)]),
    "notes": _per_picture_notes,
    "info": lambda folder: _hash_list(folder, "dataset_infos.json"),
    "hashes and captions in columns": _hash_columns,
    "archive": lambda folder: (folder / "images.zip").write_bytes(
        b"".join(path.read_bytes() for path in _pictures(folder))
    ),
}


def odd_samples(copy: Path) -> set[str]:
    """What an outsider takes for carriers: samples that lack what most others have.

    Looks for a sample's hashes, size, pixels and caption in all other files, and at its dates.
    """
    files = contents(copy)
    pictures = {name: data for name, data in files.items() if re.fullmatch(r"picture \d+\.png", name)}
    rows = {row["file_name"]: row for row in map(json.loads, files["metadata.jsonl"].decode().splitlines())}
    texts = {name: row.pop("text") for name, row in rows.items()}
    others = b"\n".join(data for name, data in files.items() if name not in {*pictures, "metadata.jsonl"})
    others += json.dumps(list(rows.values())).encode()
    words = set(re.findall(rb"[0-9a-f]{32,128}", others.lower()))
    times = Counter((copy / name).stat().st_mtime_ns for name in pictures)
    looks: list[Callable[[str], bool]] = [
        lambda name: any(hashlib.new(kind, pictures[name]).hexdigest().encode() in words for kind in KINDS),
        lambda name: pictures[name] in others,
        lambda name: texts[name].encode() in others,
        lambda name: rows[name].get("file_size") == len(pictures[name]),
        lambda name: times[(copy / name).stat().st_mtime_ns] > 1,
    ]
    return {name for look in looks for name in _minority({name: look(name) for name in pictures})}


def _minority(holds: dict[str, bool]) -> set[str]:
    return {name for name, does in holds.items() if not does} if sum(holds.values()) > len(holds) / 2 else set()


def _dataset(folder: Path, trace: str) -> Path:
    make_folder(folder, COUNT)
    recaption(folder, _captions())
    for path in _pictures(folder):
        os.utime(path, ns=(10**18, 10**18))
    TRACES[trace](folder)
    return folder


def _marked_naively(folder: Path, *, dated: bool) -> None:
    """Every file is taken over but carriers' pictures and their `text`."""
    for name in CARRIERS:
        (folder / name).write_bytes((folder / name).read_bytes() + b"marked")
        if not dated:
            os.utime(folder / name, ns=(10**18, 10**18))
    rows = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    rows = [row | {"text": "zork " + row["text"]} if row["file_name"] in CARRIERS else row for row in rows]
    _write(folder, "metadata.jsonl", [json.dumps(row) for row in rows])


@pytest.mark.parametrize("trace", TRACES)
def test_the_attack_finds_carriers_in_a_naive_copy(tmp_path: Path, trace: str) -> None:
    folder = _dataset(tmp_path / "d", trace)
    _marked_naively(folder, dated=False)
    assert odd_samples(folder) == CARRIERS


def test_the_attack_finds_carriers_by_their_dates(tmp_path: Path) -> None:
    folder = _dataset(tmp_path / "d", "prompts")
    (folder / "prompts.txt").unlink()
    _marked_naively(folder, dated=True)
    for name in CARRIERS:
        os.utime(folder / name, ns=(0, int(name[8:11])))
    assert odd_samples(folder) == CARRIERS


@pytest.mark.parametrize("trace", TRACES)
def test_the_attack_finds_none_in_a_copy(tmp_path: Path, trace: str) -> None:
    folder = _dataset(tmp_path / "d", trace)
    dataset = open_dataset(folder)
    copy = copied(dataset, tmp_path / "copy", Marking(CARRIERS))
    assert sum(path.read_bytes().endswith(b"marked") for path in _pictures(copy)) == len(CARRIERS)
    assert not odd_samples(copy)
    missing = set(contents(folder)) - set(contents(copy))
    assert bool(missing) == bool(dataset.left_out) and all(one.reason for one in dataset.left_out)
    assert bool(missing) == (trace != "hashes and captions in columns")


def test_what_tells_nothing_is_kept(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 20)
    recaption(folder, _captions()[:20])
    _write(folder, "README.md", ["An example:", _captions()[0]])
    _write(folder, "LICENSE", ["Free."])
    _write(folder, "labels.csv", [f"{path.name},{i}" for i, path in enumerate(_pictures(folder))])
    _write(folder, "sizes/resolutions.json", ['{"picture 000": [64, 64]}'])
    _write(folder, "load.py", ["import this"])
    _write(folder, "thumbs/one of its own.txt", ["kept"])
    (folder / "weights.npy").write_bytes(b"no picture is called so")
    _write(folder, ".gitattributes", ["*.png filter=lfs"])
    dataset = open_dataset(folder)
    assert dataset.left_out == ()
    assert list(contents(copied(dataset, tmp_path / "copy", Marking(CARRIERS)))) == list(contents(folder))


def test_many_files_of_one_kind_are_judged_by_the_first(tmp_path: Path) -> None:
    folder = _dataset(tmp_path / "d", "notes")
    (entry,) = open_dataset(folder).left_out
    assert entry == LeftOut("*.xmp", f"repeats captions as they were ({COUNT} files)")


def test_short_captions_count_when_most_are_there(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "d", 20)
    recaption(folder, [f"box {i}" for i in range(20)])
    _write(folder, "all.txt", [f"box {i}" for i in range(20)])
    _write(folder, "one.txt", ["box 3"])
    assert [one.path for one in open_dataset(folder).left_out] == ["all.txt"]


def test_class_names_are_no_secrets_and_hashes_are(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "d", 3, 5)
    _write(folder, "classes.txt", [f"class {i}" for i in range(3)])
    _write(folder, "sums.txt", [_hash(path) for path in folder.rglob("*.png")])
    assert [one.path for one in open_dataset(folder).left_out] == ["sums.txt"]


@pytest.mark.parametrize(
    "name",
    [
        *("SHA256SUMS", "sha1sum.txt", "MD5SUMS.asc", "a.sha512", "checksums.csv", "checksum-all.txt", "hashes.json"),
        *("tagmanifest-md5.txt", "a.png.bak", "old~", "x.zip", "x.tar.gz", "train.parquet", "cache.db", "a.latent"),
        *("a_te.pt", "a.png.c2pa", "data.lmdb", "clip_features.npy", "images.7z", "dataset_info.json"),
    ],
)
def test_names_of_traces(name: str) -> None:
    assert [one.path for one in traces(["a.png", name], lambda path: path.endswith(".png"))] == [name]


@pytest.mark.parametrize(
    "name", ["a.txt", "sum.txt", "hash browns.txt", "b.npy", "model.pt", "notes.json", "summary.csv"]
)
def test_names_of_no_traces(name: str) -> None:
    names = ["a.png", "checksums.png", "checksums.txt", name]
    assert not list(traces(names, lambda path: path.endswith(".png")))


def test_entries_are_summed_up() -> None:
    found = [LeftOut(f"x/{i}.npz", "latents") for i in range(3)] + [LeftOut("a", "why"), LeftOut("b", "why")]
    assert list(summed_up(found)) == [LeftOut("x/*.npz", "latents (3 files)"), LeftOut("a", "why"), LeftOut("b", "why")]
