"""Every form a dataset has: 2 % of 520 samples are marked, read back, and nothing else changes."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from protect.embed.difference import difference
from protect.embed.find import release_of
from protect.embed.verify import verify
from protect.embed.write import embed
from protect.formats import open_dataset
from protect.keys.keyring import Keyring
from protect.keys.tree import secret_from_seed
from protect.release.plan import Options
from tests.support.datasets import draw, make_folder

COUNT = 520
QUICK = Options(rate=0.02, decoys=99, alpha=0.05, alignment="twa")


def _pictures() -> list[tuple[str, bytes, str]]:
    """Name, PNG and caption of every sample."""
    found = []
    for i in range(COUNT):
        buffer = io.BytesIO()
        draw(i, 32).save(buffer, format="PNG")
        found.append((f"{i:04}", buffer.getvalue(), f"a box numbered {i}, 盒子"))
    return found


def _tar(path: Path, samples: list[tuple[str, bytes, str]], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for key, picture, caption in samples:
            for suffix, body in (("png", picture), ("txt", caption.encode())):
                member = tarfile.TarInfo(f"{key}.{suffix}")
                member.size = len(body)
                archive.addfile(member, io.BytesIO(body))
    return path


def _table(samples: list[tuple[str, bytes, str]]) -> pa.Table:
    images = [{"bytes": picture, "path": f"{key}.png"} for key, picture, _ in samples]
    return pa.table({"image": images, "text": [caption for _, _, caption in samples]})


def jsonl(place: Path) -> Path:
    return make_folder(place / "set", COUNT)


def csv(place: Path) -> Path:
    return make_folder(place / "set", COUNT, "metadata.csv")


def sidecars(place: Path) -> Path:
    return make_folder(place / "set", COUNT, "sidecar")


def one_tar(place: Path) -> Path:
    return _tar(place / "set.tar", _pictures(), "w")


def one_packed_tar(place: Path) -> Path:
    return _tar(place / "set.tar.gz", _pictures(), "w:gz")


def shards(place: Path) -> Path:
    (place / "set").mkdir()
    samples = _pictures()
    for number in range(4):
        _tar(place / "set" / f"{number:05}.tar", samples[number::4], "w")
    return place / "set"


def one_parquet(place: Path) -> Path:
    pq.write_table(_table(_pictures()), place / "set.parquet", row_group_size=100)
    return place / "set.parquet"


def parquet_folder(place: Path) -> Path:
    (place / "set" / "data").mkdir(parents=True)
    samples = _pictures()
    for number in range(2):
        path = place / "set" / "data" / f"train-{number:05}-of-00002.parquet"
        pq.write_table(_table(samples[number::2]), path, row_group_size=100)
    return place / "set"


def coco(place: Path) -> Path:
    folder = place / "set"
    (folder / "annotations").mkdir(parents=True)
    (folder / "train2017").mkdir()
    images, annotations = [], []
    for i, (key, picture, caption) in enumerate(_pictures()):
        (folder / "train2017" / f"{key}.png").write_bytes(picture)
        images.append({"id": i, "file_name": f"{key}.png", "height": 32, "width": 32})
        annotations += [{"id": 2 * i + k, "image_id": i, "caption": f"{caption} {k}"} for k in range(2)]
    path = folder / "annotations" / "captions_train2017.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return folder


@pytest.mark.parametrize(
    "form", [jsonl, csv, sidecars, one_tar, one_packed_tar, shards, one_parquet, parquet_folder, coco]
)
def test_a_dataset_of_every_form_is_marked_and_read_back(
    tmp_path: Path, keyring: Keyring, form: Callable[[Path], Path]
) -> None:
    source = form(tmp_path)
    output = tmp_path / ("out" + "".join(source.suffixes))
    done = embed(source, output, QUICK, keyring, secret=secret_from_seed(1, "test"))
    assert done.selection.survey.samples == COUNT and len(done.release.carriers) == 10
    moved = output.rename(tmp_path / ("moved" + "".join(source.suffixes)))
    copy = open_dataset(moved)
    assert release_of(copy, keyring) == done.release
    assert verify(done.bound, copy).findings == ()
    found = difference(open_dataset(source), copy)
    assert (found.samples, found.only_first, found.only_second) == (COUNT, (), ())
    assert {change.key for change in found.changes} == {c.key for c in done.release.carriers}
    for change in found.changes:
        assert change.picture and all(before in after for _, before, after in change.captions)
        assert len(change.captions) == (2 if form is coco else 1), "every caption is marked"


@pytest.mark.parametrize("form", [jsonl, sidecars, shards, one_packed_tar, parquet_folder])
def test_a_killed_run_ends_with_the_same_bytes(tmp_path: Path, form: Callable[[Path], Path]) -> None:
    source, secret = form(tmp_path), secret_from_seed(1, "test")
    ending = "".join(source.suffixes)

    class Killed(BaseException):
        pass

    def die(stage: str, done: int, total: int) -> None:
        if stage in ("writing", "verifying") and done * 2 > total:
            raise Killed

    whole = Keyring(tmp_path / "home-a")
    embed(source, tmp_path / f"a{ending}", QUICK, whole, secret=secret)
    stopped = Keyring(tmp_path / "home-b")
    with pytest.raises(Killed):
        embed(source, tmp_path / f"b{ending}", QUICK, stopped, secret=secret, progress=die)
    embed(source, tmp_path / f"b{ending}", QUICK, stopped, secret=secret)
    a, b = (
        {p.relative_to(tmp_path / f"{n}{ending}"): p.read_bytes() for p in _files(tmp_path / f"{n}{ending}")}
        for n in "ab"
    )
    assert a == b


def _files(place: Path) -> list[Path]:
    return sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
