"""Small datasets in shards, made on the spot, and what stands in them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from protect.formats.dataset_format import Dataset
from protect.formats.record import Record, SetAside
from tests.support.datasets import copied, draw

__all__ = [
    "aside",
    "copied",
    "digest",
    "files",
    "make_tars",
    "png",
    "raw_members",
    "records",
    "sample",
    "write_tar",
]

Members = Iterable[tuple[str, bytes]]


def png(index: int) -> bytes:
    """A small picture file, another one for each index."""
    stream = io.BytesIO()
    draw(index, 16).save(stream, "PNG")
    return stream.getvalue()


def sample(key: str, index: int) -> list[tuple[str, bytes]]:
    """A sample as img2dataset writes it."""
    picture = png(index)
    facts = {"caption": f"box {index}, 盒子", "width": 16, "sha256": hashlib.sha256(picture).hexdigest(), "key": key}
    return [
        (f"{key}.png", picture),
        (f"{key}.txt", f"box {index}, 盒子\n".encode()),
        (f"{key}.json", json.dumps(facts).encode()),
    ]


def write_tar(path: Path, members: Members, kind: int = tarfile.GNU_FORMAT, mode: str = "w") -> Path:
    """A tar file; every member has an owner and a time of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, format=kind) as archive:
        for i, (name, data) in enumerate(members):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode, member.uid = len(data), 1_600_000_000 + i, 0o640, 1000 + i % 7
            member.uname, member.gname = "owner", "staff"
            archive.addfile(member, io.BytesIO(data))
    return path


def make_tars(folder: Path, shards: int = 3, each: int = 170) -> Path:
    """A webdataset of a few archives."""
    for shard in range(shards):
        numbers = range(shard * each, (shard + 1) * each)
        write_tar(folder / f"{shard:05}.tar", (one for i in numbers for one in sample(f"{i:06}", i)))
    return folder


def raw_members(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """Header blocks (extended ones included) and content blocks of every member."""
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        found = archive.getmembers()
    blocks = {}
    for member in found:
        end = member.offset_data + -(-member.size // 512) * 512
        blocks[member.name] = (data[member.offset : member.offset_data], data[member.offset_data : end])
    return blocks


def records(dataset: Dataset) -> dict[str, Record]:
    """Records by key."""
    return {record.key: record for record in dataset.records()}


def aside(dataset: Dataset) -> dict[str, str]:
    """Reasons by key of what is set aside."""
    return {found.key: found.reason for found in dataset.scan() if isinstance(found, SetAside)}


def files(folder: Path) -> dict[str, bytes]:
    """Content of every file."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def digest(payloads: Mapping[str, bytes]) -> str:
    """Hash of the hashes of many payloads."""
    hashes = (f"{name} {hashlib.sha256(data).hexdigest()}" for name, data in sorted(payloads.items()))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()
