"""What is damaged, and what must hold of everything that reads it: an answer or a refusal, nothing lost, nothing else.

A target gets a file that was damaged. It returns what became of it; whatever it raises is a fault of the program.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from protect.errors import InputError, TracemarkError
from protect.formats import open_dataset
from protect.formats.dataset_format import Dataset
from protect.formats.record import SetAside
from tests.support.datasets import Marking, contents, copied, draw

READ, ASIDE, REFUSED, LARGE = "read", "set aside", "refused", "too large to try"
LARGEST = 1 << 22
"""Pixels of a picture that is decoded here."""


@dataclass(frozen=True)
class Target:
    """Files of one kind, and what reads them."""

    name: str
    seeds: Callable[[], Sequence[bytes]]
    """Whole files."""
    read: Callable[[bytes, Path], str]
    """Reads a damaged one, in an empty folder."""
    share: float
    """Of all cases."""


def _in_dataset(name: str) -> Callable[[bytes, Path], str]:
    """A dataset in which one file is damaged."""

    def read(data: bytes, folder: Path) -> str:
        source = folder / "set"
        source.mkdir()
        (source / name).write_bytes(data)
        if not name.endswith((".tar", ".tar.gz", ".parquet")):
            for i in range(4):
                (source / f"{i}.png").write_bytes(_png(i))
                if name.startswith("0."):
                    (source / f"{i}.txt").touch() if f"{i}.txt" != name and i else None
        return _read_and_copied(folder)

    return read


def _read_and_copied(folder: Path) -> str:
    before = contents(folder / "set")
    try:
        dataset = open_dataset(folder / "set")
        found, aside = _all(dataset)
        marked = set(list(found)[::2])
        copied(dataset, folder / "out", Marking(marked))
        dataset.finish(folder / "out")
    except (InputError, OSError):
        return REFUSED
    finally:
        assert contents(folder / "set") == before, "the original changed"
        assert {path.name for path in folder.iterdir()} <= {"set", "out"}, "something was written elsewhere"
    again, aside_again = _all(open_dataset(folder / "out"))
    assert again.keys() == found.keys() and aside_again == aside, "samples were lost or made"
    for key, (captions, picture) in found.items():
        edits = Marking(marked)
        assert again[key][0] == dict(edits.captions(key, captions)), f"captions of {key}"
        wanted = picture + b"marked" if key in marked else picture
        assert again[key][1] == wanted, f"picture of {key}"
    return ASIDE if aside else READ


def _all(dataset: Dataset) -> tuple[dict[str, tuple[dict[str, str], bytes]], int]:
    """Captions and picture of every sample, and how many were set aside."""
    found: dict[str, tuple[dict[str, str], bytes]] = {}
    aside = 0
    for one in dataset.scan():
        if isinstance(one, SetAside):
            aside += 1
            continue
        if one.key in found:
            raise InputError("two samples have one key")  # as `survey` says
        found[one.key] = (dict(one.captions), one.read())
    return found, aside


def _picture(data: bytes, folder: Path) -> str:
    from protect.pixels.captions import embedded_captions
    from protect.pixels.picture import PictureError, obstacle, pixel_count, read_rgba, rewrite

    try:
        if pixel_count(data) > LARGEST:
            return LARGE
        embedded_captions(data)
        pixels = read_rgba(data)
        if obstacle(data, decoded=True):
            return REFUSED
        again = read_rgba(rewrite(data, pixels))  # as embed reads back what it is about to write
    except PictureError:
        return REFUSED
    assert again.shape == pixels.shape, "another size"
    return READ


def _adapter(data: bytes, folder: Path) -> str:
    from detect.suspects.images.adapters import read_adapter
    from detect.suspects.images.header import parse_header
    from detect.suspects.images.weights import read_metadata

    path = folder / "adapter.safetensors"
    path.write_bytes(data)
    try:
        read_adapter(path)
        parse_header(read_metadata(path)).rows()
    except TracemarkError:
        return REFUSED
    return READ


def _container(data: bytes, folder: Path) -> str:
    from detect.bundle.container import unpacked

    (folder / "case.zip").write_bytes(data)
    try:
        files = unpacked(folder / "case.zip")
    except InputError:
        return REFUSED
    assert data in _containers() and files, "a changed bundle was taken for a whole one"
    return READ


def _opening(data: bytes, folder: Path) -> str:
    from detect.bundle.opening import opened_release
    from protect.keys.store import Store

    try:
        bound = opened_release(data, Store(folder))
    except TracemarkError:
        return REFUSED
    commitments = {json.loads(seed)["commitment"] for seed in _openings()}
    assert bound.release.commitment in commitments, "another release was taken for the committed one"
    return READ


def _sites(data: bytes, folder: Path) -> str:
    from protect.alignments.sites.file import load_sites, stored_sites

    path = folder / ("sites.csv" if data[:1] < b"m" else "sites.tsv")
    path.write_bytes(data)
    try:
        found = load_sites(path)
    except InputError:
        return REFUSED
    assert stored_sites(found.canonical) == found.sites, "stored choices of words are others"
    return READ


@cache
def _png(index: int) -> bytes:
    buffer = io.BytesIO()
    draw(index, 16).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def _tars() -> list[bytes]:
    found = []
    for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
            for i in range(4):
                key = f"{'x' * 120 if kind != tarfile.USTAR_FORMAT and i == 2 else 'a'}/{i:03}"
                facts = json.dumps({"caption": f"box {i}, 盒子", "width": 16}).encode()
                for ending, body in (("png", _png(i)), ("txt", f"box {i}, 盒子\n".encode()), ("json", facts)):
                    member = tarfile.TarInfo(f"{key}.{ending}")
                    member.size = len(body)
                    archive.addfile(member, io.BytesIO(body))
        found.append(buffer.getvalue())
    return found


def _packed_tars() -> list[bytes]:
    return [gzip.compress(data, mtime=0) for data in _tars()]


def _parquets() -> list[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [{"bytes": _png(i), "path": f"{i}.png"} for i in range(6)]
    table = pa.table({"image": images, "text": [f"box {i}" for i in range(6)], "n": range(6)})
    found = []
    for options in ({"row_group_size": 2}, {"compression": "zstd", "row_group_size": 6}, {"use_dictionary": False}):
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, **options)
        found.append(sink.getvalue().to_pybytes())
    return found


def _rows() -> list[dict[str, object]]:
    return [{"file_name": f"{i}.png", "text": f"box {i}, “盒子”", "n": i} for i in range(4)]


def _jsonl() -> list[bytes]:
    return [b"".join(json.dumps(row, ensure_ascii=ascii_).encode() + b"\n" for row in _rows()) for ascii_ in (0, 1)]


def _csv() -> list[bytes]:
    rows = "".join(f'{row["file_name"]},"{row["text"]}",{row["n"]}\r\n' for row in _rows())
    return [f"file_name,text,n\r\n{rows}".encode(), "\ufefffile_name,text\n0.png,a\n1.png,'b\n".encode()]


def _coco() -> list[bytes]:
    images = [{"id": i, "file_name": f"{i}.png"} for i in range(4)]
    notes = [{"id": 9 + i, "image_id": i, "caption": f"box {i}"} for i in range(4)]
    return [json.dumps({"images": images, "annotations": notes}).encode()]


def _sidecars() -> list[bytes]:
    return ["a box, 盒子\n".encode(), b"1girl, solo, box\n", b"a box\r\nanother line\r\n", b"\xff\xfea\x00b\x00"]


def _json_sidecars() -> list[bytes]:
    return [json.dumps({"caption": "a box", "tags": ["a", "b"], "size": {"w": 3}}).encode(), b'{"prompt": "a box"}']


def _pictures() -> list[bytes]:
    found = []
    exif = Image.Exif()
    exif[0x010E], exif[0x0112] = "a box", 6
    for form, options in (
        *(("PNG", {"exif": exif}), ("JPEG", {"exif": exif, "comment": b"a box"}), ("WEBP", {"exif": exif})),
        *(("GIF", {}), ("BMP", {}), ("TIFF", {"compression": "tiff_lzw"}), ("JPEG", {"progressive": True})),
    ):
        buffer = io.BytesIO()
        draw(3, 32).save(buffer, form, **options)
        found.append(buffer.getvalue())
    return found


def _adapters() -> list[bytes]:
    import torch
    from safetensors.torch import save

    down, up, alpha = torch.ones(2, 4), torch.ones(6, 2), torch.tensor(2.0)
    names = (("lora_down.weight", "lora_up.weight"), ("lora_A.weight", "lora_B.weight"))
    said = {"ss_network_dim": "2", "ss_tag_frequency": json.dumps({"a": {"box": 3}}), "ss_training_started_at": "1.7e9"}
    kohya = {"lora_unet_mid_block_q.alpha": alpha, "lora_unet_mid_block_q.dora_scale": torch.ones(6, 1)}
    files = [({f"lora_unet_mid_block_q.{n}": t for n, t in zip(names[0], (down, up), strict=True)} | kohya, said)]
    files.append(({f"unet.mid_block.q.{n}": t for n, t in zip(names[1], (down, up), strict=True)}, {"format": "pt"}))
    halves = {f"hada_w{half}_{part}": t.clone() for half in (1, 2) for part, t in (("a", up), ("b", down))}
    files.append(({f"lora_unet_x.{name}": tensor for name, tensor in halves.items()}, {}))
    return [save(tensors, metadata) for tensors, metadata in files]


@cache
def _containers() -> tuple[bytes, ...]:
    from detect.bundle.container import packed

    files = {"verdict.json": b"{}", "opening.json": _openings()[0], "outputs/a1.png": _png(1), "page.html": b"<html>"}
    return (packed(files),)


@cache
def _openings() -> tuple[bytes, ...]:
    from detect.bundle.opening import opening_of
    from protect.embed.write import embed
    from protect.keys.keyring import Keyring
    from protect.keys.tree import secret_from_seed
    from protect.release.plan import Options
    from tests.support.datasets import make_folder

    options = Options(rate=0.5, slots=2, decoys=99, alpha=0.05, family="template", alignment="twa")
    with TemporaryDirectory() as place:
        source = make_folder(Path(place) / "set", 8)
        home = Keyring(Path(place) / "home")
        release = embed(source, Path(place) / "out", options, home, secret=secret_from_seed(1, "fuzz")).release
        return tuple(opening_of(release, slots) for slots in ([0], [0, 1]))


TARGETS = {
    target.name: target
    for target in (
        Target("tar", _tars, _in_dataset("00000.tar"), 0.2),
        Target("packed tar", _packed_tars, _in_dataset("00000.tar.gz"), 0.05),
        Target("parquet", _parquets, _in_dataset("train.parquet"), 0.06),
        Target("metadata.jsonl", _jsonl, _in_dataset("metadata.jsonl"), 0.1),
        Target("metadata.csv", _csv, _in_dataset("metadata.csv"), 0.08),
        Target("COCO", _coco, _in_dataset("captions_train.json"), 0.05),
        Target("caption file", _sidecars, _in_dataset("0.txt"), 0.05),
        Target("caption file, JSON", _json_sidecars, _in_dataset("0.json"), 0.05),
        Target("choices of words", lambda: [b"a photo of,a picture of\nthe,a,start\n", b"couch\tsofa\n"], _sites, 0.06),
        Target("picture", _pictures, _picture, 0.15),
        Target("adapter", _adapters, _adapter, 0.08),
        Target("bundle", _containers, _container, 0.04),
        Target("opening of a release", _openings, _opening, 0.04),
    )
}
