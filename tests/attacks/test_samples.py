"""A dataset in a thief's hands: what cannot be read is set aside with its reason and ends nothing."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attacks.parts import PARTS, divide
from attacks.stages.attack import Captioned
from attacks.stages.samples import count_records, read_captioned, read_picture, read_samples, same_sample, write_samples
from protect.errors import InputError
from protect.formats.dataset_format import ReadOptions
from tests.support.datasets import draw, make_folder
from tests.support.thieves import carriers, photo


def encoded(kind: str) -> bytes:
    """A picture file of 64 pixels a side."""
    buffer = io.BytesIO()
    Image.fromarray(photo(0, 64, 64)).save(buffer, format=kind)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few bytes that says it has 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


BROKEN = {
    "empty.png": b"",
    "text.png": b"not a picture at all",
    "truncated.png": encoded("PNG")[:3000],
    "truncated.jpg": encoded("JPEG")[:700],
    "header only.jpg": encoded("JPEG")[:120],
    "cut.webp": encoded("WEBP")[:200],
    "bomb.png": bomb(),
}


def with_broken(folder: Path, count: int = 60) -> Path:
    """A good dataset to which one broken picture of each kind is added."""
    make_folder(folder, count)
    with (folder / "metadata.jsonl").open("a", encoding="utf-8") as metadata:
        for name, data in BROKEN.items():
            (folder / name).write_bytes(data)
            metadata.write(json.dumps({"file_name": name, "text": f"a broken {name}"}) + "\n")
    return folder


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_set_aside_with_its_reason(name: str, tmp_path: Path) -> None:
    found = read_samples(with_broken(tmp_path / "d", 3))
    assert len(found.samples) == 3 and {aside.key for aside in found.set_aside} == set(BROKEN)
    reasons = {aside.key: aside.reason for aside in found.set_aside}
    assert reasons[name] and "\n" not in reasons[name]


def test_broken_pictures_do_not_end_the_division(tmp_path: Path) -> None:
    dataset, work = with_broken(tmp_path / "d", 60), tmp_path / "w"
    set_aside = divide(dataset, work)
    assert {aside.key for aside in set_aside} == set(BROKEN)
    counts = {name: count_records(work / name) for name in PARTS}
    assert counts == {"held-out": 5, "clean": 15, "own": 40} and sum(counts.values()) + len(set_aside) == 67
    assert divide(dataset, work) == set_aside, "a second call says the same"


def test_a_dataset_of_broken_pictures_is_refused_with_a_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds 3 samples \(7 set aside; .*\)\nAttacks are measured on 48"):
        divide(with_broken(tmp_path / "d", 3), tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_the_dataset_is_divided_without_rest(tmp_path: Path) -> None:
    assert sorted(i for places in PARTS.values() for i in places) == list(range(12))
    dataset = make_folder(tmp_path / "d", 50)
    assert divide(dataset, tmp_path / "w") == ()
    counts = {name: len(list((tmp_path / "w" / name).glob("*.png"))) for name in PARTS}
    assert counts == {"held-out": 5, "clean": 13, "own": 32}
    with pytest.raises(InputError, match="holds 20 samples"):
        divide(make_folder(tmp_path / "small", 20), tmp_path / "v")


def test_samples_that_the_owner_leaves_out_are_in_no_part(tmp_path: Path) -> None:
    dataset = make_folder(tmp_path / "d", 12)
    chosen = read_samples(dataset, ReadOptions(exclude=("picture 00*",))).samples
    assert [s.key for s in chosen] == ["picture 010.png", "picture 011.png"]


@pytest.mark.parametrize("layout", ["metadata.jsonl", "metadata.csv", "sidecar"])
def test_datasets_of_any_form_are_read_alike(layout: str, tmp_path: Path) -> None:
    found = read_samples(make_folder(tmp_path / "d", 4, layout)).samples
    assert [s.key for s in found] == [f"picture {i:03}.png" for i in range(4)]
    assert [s.caption for s in found] == [f"box number {i}, 盒子, “quoted”" for i in range(4)]
    assert all(np.array_equal(s.picture, np.asarray(draw(i))) for i, s in enumerate(found))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    samples = [*carriers(2, 2), Captioned("lost", photo(), "")]
    folder = write_samples(samples, tmp_path / "d")
    back = read_captioned(folder)
    assert all(same_sample(a, b) for a, b in zip(samples[:4], back[:4], strict=True))
    assert back[4].caption == "picture", "a sample without a caption would be no sample"
    assert np.array_equal(read_picture(folder, "000002.png"), samples[2].picture) and count_records(folder) == 5
    assert write_samples([], folder) == folder and count_records(folder) == 5, "what is there is kept"


def test_a_copy_that_was_damaged_meanwhile_is_refused(tmp_path: Path) -> None:
    folder = write_samples(carriers(1, 3), tmp_path / "d")
    (folder / "000001.png").write_bytes(b"gone")
    with pytest.raises(InputError, match=r"000001\.png: .*\nRemove"):
        read_captioned(folder)
